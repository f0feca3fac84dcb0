"""Colours that the colour-blind tell apart, for every chart."""

# Okabe and Ito's
BLACK, ORANGE, SKY, GREEN, RED, BLUE, PINK, GREY = COLOURS = (
    '#000000', '#E69F00', '#56B4E9', '#009E73', '#D55E00', '#0072B2',
    '#CC79A7', '#999999')
