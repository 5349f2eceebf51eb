#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: all figures that need one, in one command, in about ten minutes.
#
#     bash benchmarks/gpu.sh [FOLDER]        # what it measures and trains goes to FOLDER, else to gpu-results/
#     bash benchmarks/gpu.sh --dry [FOLDER]  # every line of it on the CPU, on digits, as short as can be
#
# It needs PyTorch, torchvision, scikit-learn, safetensors, filelock and CIFAR-10 (CONVSCOPE_DATA); no Streamlit.
set -euo pipefail
cd "$(dirname "$0")/.."
device=cuda data=cifar10 smallest=() short=() compile=(--compile) networks="resnet18_cifar resnet32"
if [ "${1:-}" = --dry ]; then
  shift
  device=cpu data=digits smallest=(--smallest) short=(--epochs 1) compile=() networks=three_layer_module
else
  python -c 'import torch; assert torch.cuda.is_available(), "there is no GPU here"; print(torch.cuda.get_device_name())'
fi
results=${1:-gpu-results}
mkdir -p "$results"
rm -rf "$results/runs" "$results/speedruns"
train() { # ARCHITECTURE RECIPE NAME, and more options; by the launcher before it, if any
  ${launcher:-python} -m vizlib train -a "$1" -d "$data" -r "$2" --device "$device" --out "$results/runs" \
    --name "$3" "${short[@]}" "${@:4}" | tee "$results/$3.txt"
}

python -m benchmarks.training speedrun "${smallest[@]}" --keep "$results/speedruns" | tee "$results/speedrun.md"
# every network in each type of number, with and without torch.compile
python -m benchmarks.networks --device "$device" "${smallest[@]}" "${compile[@]}" | tee "$results/networks.md"
# the same recipe without torch.compile, to see what that brings
train airbench94 speedrun airbench94-eager --no-compile
for network in $networks; do
  train "$network" one_cycle "$network-$device"
done
# PyTorch's launcher: NCCL with one process, and with all GPUs where there are several
launcher="torchrun --nproc-per-node 1" train "${networks%% *}" one_cycle one_process
if [ "$device" = cuda ] && [ "$(python -c 'import torch; print(torch.cuda.device_count())')" -gt 1 ]; then
  launcher="torchrun --nproc-per-node gpu" train resnet18_cifar one_cycle several_gpus
fi
