"""`python -m attachd`: the same as the command `attachd`."""

from attachd.cli.main import main

if __name__ == "__main__":
    main()
