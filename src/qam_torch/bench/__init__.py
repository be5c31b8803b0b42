"""Speed of a method's update: time, matrix-product operations, and the cost of its parts."""
