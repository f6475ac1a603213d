"""The decision graph: from settings to nodes, edges and stages. Pure: no file is opened, nothing is printed."""
