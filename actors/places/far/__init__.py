"""Children on other machines, each with an agent beside it there; how agents are reached is a transport's business."""
