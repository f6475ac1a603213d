"""Workers on other machines: who is there, and what is kept for them on this one."""
