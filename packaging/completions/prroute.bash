# bash-completion loads this when `prroute` is completed for the first time; the program does the rest.
source <(COMPLETE=bash prroute)
