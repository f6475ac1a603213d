"""What goes over the network: connections with deadlines, the words of each kind of provider, how answers are judged.

urllib3 comes with the extra `elspeth[calls]`; nothing outside of this package imports it.
"""
