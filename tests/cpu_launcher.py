"""What a config of a test imports to be launched without a GPU.

MMEngine's launcher chooses a CUDA device whether there is one or not.
"""
import torch

torch.cuda.set_device = lambda device: None
