"""The stock models of OpenMMLab, timm and torchvision under the override."""
import sys
from pathlib import Path

# for cpu_torchvision, which the tests use as well
sys.path.append(str(Path(__file__).resolve().parents[2] / 'tests'))
