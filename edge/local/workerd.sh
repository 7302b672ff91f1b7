#!/bin/sh
# workerd that dies with the process that started it, even when that one is killed by SIGKILL: a crash test must not
# leave the old Worker at work beside the new one.
exec setpriv --pdeathsig KILL "$WEIR_WORKERD" "$@"
