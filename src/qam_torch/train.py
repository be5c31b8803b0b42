"""`python -m qam_torch.train` runs the command `qam-train`."""

from qam_torch.cli.train import main

if __name__ == "__main__":
    main()
