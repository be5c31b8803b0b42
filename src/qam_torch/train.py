"""`python -m qam_torch.train` is `qam-train`."""

from qam_torch.cli.train import main

if __name__ == "__main__":
    main()
