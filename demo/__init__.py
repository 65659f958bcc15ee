"""``make demo``: a video plays as a camera, the nodes run, and what came out is shown.

python -m demo [--frames N] [--out FOLDER] [--model FILE]
"""
