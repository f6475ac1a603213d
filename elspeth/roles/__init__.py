"""The Pykka actors inside the child processes: source, worker, sink, audit."""
