"""``make demo``: train on drawn images, show what was learned."""
