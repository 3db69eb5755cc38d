"""The training loop, checkpoints, log and the monitor that notices a GAN going wrong."""
