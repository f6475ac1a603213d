"""Ways to other machines that are not to be relied on."""
