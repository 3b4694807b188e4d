#!/bin/bash
# Gradient descent with momentum on (x - 3)^2 + 10 (y - 1)^2, in bash and awk: any program will do.
#
#   bash train.sh --lr 0.05 --momentum 0.5

lr=0.01 momentum=0 steps=30
while [ $# -gt 1 ]; do
  case $1 in
    --lr) lr=$2 ;;
    --momentum) momentum=$2 ;;
    --steps) steps=$2 ;;
  esac
  shift 2
done

exec awk -v lr="$lr" -v momentum="$momentum" -v steps="$steps" 'BEGIN {
  for (step = 1; step <= steps; step++) {
    vx = momentum * vx - lr * 2 * (x - 3); x += vx
    vy = momentum * vy - lr * 20 * (y - 1); y += vy
    loss = (x - 3) ^ 2 + 10 * (y - 1) ^ 2
    if (loss > 1e9) { print "diverged at step " step; exit 1 }
    if (step % 5 == 0) { printf "luthier: step=%d loss=%.6g\n", step, loss; fflush() }
  }
}'
