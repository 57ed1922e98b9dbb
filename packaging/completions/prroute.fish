# fish loads this when `prroute` is completed for the first time; the program does the rest.
COMPLETE=fish prroute | source
