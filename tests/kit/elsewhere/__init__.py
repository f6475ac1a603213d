"""Workers that see nothing of the folder of their run: as on another machine, but on this one."""
