import sys

from seedbed.simulator.run import main

sys.exit(main())
