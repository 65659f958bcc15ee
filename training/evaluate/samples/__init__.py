"""What is measured on: poses, views, clips and real detections."""
