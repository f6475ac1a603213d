"""The command and its children as processes: started, struck, awaited, and asked what they left behind."""
