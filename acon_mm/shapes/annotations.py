"""From the map of instances to polygons and train ids."""
import cv2
import numpy as np

IGNORED = 255


def polygons(mask):
    """COCO polygons that rasterize to exactly this mask.

    Args:
        mask (np.ndarray): bool (H, W).

    Returns:
        list[list[int]]: One polygon x0, y0, x1, y1, ... per connected part,
        along the pixels' edges. COCO has no holes: a polygon walks to each
        of its holes, around it, and back the same way.
    """
    # Contours run through pixel centres; in a doubled mask, halving them
    # upwards gives the pixels' corners.
    doubled = mask.astype(np.uint8).repeat(2, 0).repeat(2, 1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP,
                                           cv2.CHAIN_APPROX_NONE)
    outlines = {}
    for number, contour in enumerate(contours):
        points = _without_middles((contour[:, 0] + 1) // 2)
        parent = hierarchy[0, number, 3]
        if parent < 0:
            outlines[number] = points
            continue
        outer = outlines[parent]
        outlines[parent] = np.concatenate(
            [outer, outer[:1], points, points[:1], outer[:1]])
    return [outline.ravel().tolist() for outline in outlines.values()]


def _without_middles(points):
    """Drop the points of a closed contour where it goes straight on."""
    before = points - np.roll(points, 1, 0)
    points = points[before.any(1)]
    before = points - np.roll(points, 1, 0)
    after = np.roll(points, -1, 0) - points
    return points[(before != after).any(1)]


def train_ids(instances, labels):
    """Cityscapes' train ids: 0 background, 1 + label, 255 on the outlines.

    Args:
        instances (np.ndarray): The map of instances of :func:`draw`.
        labels (list[int]): Its labels.

    Returns:
        np.ndarray: uint8 (H, W). The pixels on both sides of an outline are
        ignored, as in PASCAL VOC.
    """
    ids = np.array([0] + [1 + label for label in labels], np.uint8)[instances]
    across = instances[:, 1:] != instances[:, :-1]
    down = instances[1:] != instances[:-1]
    ids[:, 1:][across] = ids[:, :-1][across] = IGNORED
    ids[1:][down] = ids[:-1][down] = IGNORED
    return ids
