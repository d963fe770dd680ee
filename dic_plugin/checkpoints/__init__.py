"""Files of weights: tensors only, whole or not at all, with the options of the network and a record of its training."""
