"""Children as processes of this machine, forked from a fork server that has their imports."""
