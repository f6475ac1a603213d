"""What runs on a node beside each child: starts it, watches it, hands on what it says, and ends it when nobody asks."""
