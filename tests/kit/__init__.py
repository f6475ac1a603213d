"""What tests share: simulators, an oracle, processes to strike, and pipelines to strike them in."""
