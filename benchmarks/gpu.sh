#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: all figures that need one, in one command, in about ten minutes.
#
#     bash benchmarks/gpu.sh [FOLDER]        # what it measures and trains goes to FOLDER, else to gpu-results/
#
# It needs PyTorch, torchvision, scikit-learn, safetensors, filelock and CIFAR-10 (CONVSCOPE_DATA); no Streamlit.
set -euo pipefail
cd "$(dirname "$0")/.."
results=${1:-gpu-results}
mkdir -p "$results"
rm -rf "$results/runs" "$results/speedruns"

python -c 'import torch; assert torch.cuda.is_available(), "there is no GPU here"; print(torch.cuda.get_device_name())'
python -m benchmarks.training speedrun --keep "$results/speedruns" | tee "$results/speedrun.md"
# The same recipe without torch.compile, to see what that brings.
python -m vizlib train -a airbench94 -d cifar10 -r speedrun --no-compile --device cuda --out "$results/runs" --name airbench94-eager | tee "$results/eager.txt"
for network in resnet18_cifar resnet32; do
  python -m vizlib train -a "$network" -d cifar10 -r one_cycle --device cuda --out "$results/runs" --name "$network" | tee "$results/$network.txt"
done
if [ "$(python -c 'import torch; print(torch.cuda.device_count())')" -gt 1 ]; then
  torchrun --nproc-per-node gpu -m vizlib train -a resnet18_cifar -d cifar10 -r one_cycle --device cuda --out "$results/runs" --name several_gpus | tee "$results/several_gpus.txt"
fi
