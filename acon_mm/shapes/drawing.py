"""Drawing: shapes that partly hide each other on a textured background."""
import cv2
import numpy as np

CLASSES = ('circle', 'square', 'triangle', 'star', 'ring', 'cross')
SPLITS = ('train', 'val')

# A circle has 240 directions, which 3, 4, 5 and 10 corners divide; the table
# is rounded, so that the last bit of a machine's cosine does not matter.
_TURN = 240
_ONE = 4096
_DIRECTIONS = np.rint(_ONE * np.stack([
    np.cos(2 * np.pi * np.arange(_TURN) / _TURN),
    np.sin(2 * np.pi * np.arange(_TURN) / _TURN),
], 1)).astype(np.int64)

# Every class has its own bright colour (BGR), which some shapes borrow.
_COLOURS = np.array([[60, 60, 220], [60, 220, 220], [60, 220, 60],
                     [220, 220, 60], [220, 60, 60], [220, 60, 220]])


def _corners(count, *radii):
    """``count`` evenly spaced (direction, radius in 1/16) pairs."""
    return [(k * _TURN // count, radii[k % len(radii)]) for k in range(count)]


# Per class its contours; a second one cuts a hole.
_CONTOURS = dict(
    circle=[_corners(60, 16)],
    square=[_corners(4, 16)],
    triangle=[_corners(3, 16)],
    star=[_corners(10, 16, 7)],
    ring=[_corners(60, 16), _corners(60, 8)],
    cross=[[(arm + direction, radius) for arm in range(0, _TURN, 60)
            for direction, radius in ((-12, 16), (12, 16), (30, 7))]])


def draw(seed, split, index, size=128):
    """Draw one image; it depends on these four arguments alone.

    Args:
        seed (int): The data set's seed, 0 to 2**32 - 1.
        split (str): 'train' or 'val'.
        index (int): The image's number within its split.
        size (int): Height and width in pixels.

    Returns:
        tuple: The image, uint8 (size, size, 3), BGR; the map of instances,
        int64 (size, size), 0 for the background and k for what is visible of
        the k-th shape; and the K shapes' labels, a list of indices into
        ``CLASSES``. At least half of every shape is visible.
    """
    rng = np.random.RandomState([seed, SPLITS.index(split), index])
    ground = rng.randint(40, 121) + rng.randint(-24, 25, 3)
    image = _texture(rng, size, ground, contrast=40)
    instances = np.zeros((size, size), np.int64)
    labels, areas = [], []
    for _ in range(rng.randint(3, 7)):
        label = rng.randint(len(CLASSES))
        mask = _shape_mask(rng, CLASSES[label], size)
        candidate = np.where(mask, len(labels) + 1, instances)
        visible = np.bincount(candidate.ravel(), minlength=len(labels) + 2)
        if (2 * visible[1:-1] < areas).any():
            continue
        colour = _colour(rng, label)
        image[mask] = _texture(rng, size, colour, contrast=30)[mask]
        instances = candidate
        labels.append(label)
        areas.append(mask.sum())
    image += rng.randint(-16, 17, image.shape)
    return image.clip(0, 255).astype(np.uint8), instances, labels


def _shape_mask(rng, name, size):
    radius = rng.randint(size // 10, size // 6 + 1)
    centre = rng.randint(radius, size - radius, 2)
    turn = rng.randint(_TURN)
    mask = np.zeros((size, size), np.uint8)
    contours = []
    for contour in _CONTOURS[name]:
        direction, length = np.array(contour).T
        arms = _DIRECTIONS[(direction + turn) % _TURN] * length[:, None]
        offset = (arms * radius + 8 * _ONE) // (16 * _ONE)
        contours.append((centre + offset).astype(np.int32))
    cv2.fillPoly(mask, contours, 1)
    return mask.astype(bool)


def _colour(rng, label):
    """A bright colour, in seven of eight cases the one of its class."""
    if rng.randint(8) == 0:
        label = rng.randint(len(CLASSES))
    return _COLOURS[label] + rng.randint(-40, 41, 3)


def _texture(rng, size, colour, contrast):
    """A coarse and a fine pattern between ``colour`` and one near it."""
    other = colour + rng.randint(-contrast, contrast + 1, 3)
    pattern = (2 * _value_noise(rng, size, size // 4)
               + _value_noise(rng, size, size // 16)) // 3
    pattern = pattern[..., None]
    return (colour * (255 - pattern) + other * pattern) // 255


def _value_noise(rng, size, cell):
    """Random values 0..255 every ``cell`` pixels, linear in between."""
    count = size // cell + 2
    lattice = rng.randint(0, 256, (count, count))
    index, weight = np.divmod(np.arange(size), cell)
    rows = (lattice[index] * (cell - weight)[:, None]
            + lattice[index + 1] * weight[:, None])
    both = (rows[:, index] * (cell - weight) + rows[:, index + 1] * weight)
    return both // cell**2
