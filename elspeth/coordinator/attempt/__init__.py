"""What the coordinator has for one attempt: what it is given, its children, its clock, its link to audit, its end."""
