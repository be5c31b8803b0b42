"""Acting in environments: evaluation, collection of experience, video. Numpy in, numpy out."""
