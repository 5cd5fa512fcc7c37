#!/usr/bin/env bash
# Everything that only a real NVIDIA GPU can tell, on a machine that has one, CUDA's toolkit and a torch with CUDA.
#
#     scripts/gpu_check.sh [build] [peer] [parity] [sanitize] [bench] [cpu]      (all of them if none is named)
#
#   build     compiles the native libraries for this GPU
#   peer      compiles gsplat's own kernels, where its wheel is there
#   parity    the tests of the ops and of rendering on cuda; training on the GPU against training on the CPU
#   sanitize  compute-sanitizer's memcheck and racecheck on a small scene
#   bench     scripts/bench_gpu.py: the table for docs/benchmarks
#   cpu       the tests of the ops under each SPLAT_CPU_ISA this machine has, and bench_cpu.py on 1 to 16 threads
#
# Nothing is downloaded. The environment may name: OUT, the folder for results (gpu_check_out); SPLAT_WHEELS, a folder
# of wheels to use as well (gsplat, what pytest lacks); SPLAT_POINTS, gsplat's assets/test_garden.npz, for the scenes;
# SPLAT_COMMIT, where there is no git; PYTHON; SPLAT_PART_SECONDS, after which a part is cut short (none);
# SPLAT_BENCH_FLAGS for bench_gpu.py. Parts go on when one fails; the exit status is 1 if any did, 2 without a GPU.
# shellcheck disable=SC2329  # parts are called by their names
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

ROOT=$PWD
OUT=${OUT:-$ROOT/gpu_check_out}
WORK=$ROOT/build/gpu_check
SITE=$WORK/site
LOG=$OUT/gpu_check.log
ALL=(build peer parity sanitize bench cpu)
if [[ -z ${PYTHON:-} ]]; then
  PYTHON=python3
  [[ -x .venv/bin/python ]] && PYTHON=$ROOT/.venv/bin/python
fi

use_wheels() {
  [[ -n ${SPLAT_WHEELS:-} ]] || return 0
  compgen -G "$SPLAT_WHEELS/*.whl" >/dev/null || { echo "SPLAT_WHEELS: $SPLAT_WHEELS holds no wheels."; return 1; }
  "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$SITE" \
    "$SPLAT_WHEELS"/*.whl
}

gpu() { # what there is: "9.0 NVIDIA H200", or nothing
  "$PYTHON" - <<'PYTHON' 2>/dev/null
import torch
if torch.cuda.is_available():
    print("%d.%d" % torch.cuda.get_device_capability(), torch.cuda.get_device_name())
PYTHON
}

tests() { # has pytest and what the tests import
  "$PYTHON" -c 'import pytest, hypothesis' 2>/dev/null && return
  echo "pytest or hypothesis is missing here: put their wheels (and pluggy, iniconfig, packaging, pygments," \
    "sortedcontainers) into a folder and name it in SPLAT_WHEELS."
  return 1
}

build() {
  "$PYTHON" setup.py --quiet build_ext --inplace || return
  # splat.datasets and splat.viewer lie beside splat/ in a clone: only an installation joins them.
  (cd / && "$PYTHON" -c 'import splat.datasets, splat.viewer' 2>/dev/null) ||
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-build-isolation --no-cache-dir -e . || return
  (cd / && "$PYTHON" -c 'from splat import native; print(native.describe())')
}

peer() {
  "$PYTHON" - <<'PYTHON'
import sys
import torch
from bench_gpu_programs import Gsplat
problem = Gsplat.problem(torch.device("cuda"))
print(problem or Gsplat.version())
sys.exit(bool(problem))
PYTHON
}

parity() {
  local status=0
  if tests; then
    # The tests of a backend have its name in theirs.
    SPLAT_REQUIRE=gpu "$PYTHON" -m pytest -q -p no:cacheprovider -k "cuda and not host" \
      tests/ops tests/test_render.py tests/train/test_instance_bound.py || status=1
    "$PYTHON" -m pytest -q -p no:cacheprovider tests/native/test_devices.py || status=1
  else
    status=1
  fi
  "$PYTHON" scripts/gpu_smoke.py tiny || status=1
  "$PYTHON" scripts/gpu_smoke.py train || status=1
  return "$status"
}

sanitize() {
  local status=0 tool
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not on PATH: it comes with CUDA."; return 1; }
  for tool in memcheck racecheck; do
    # torch's pool of memory would hide what is written beyond an array.
    PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool "$tool" --error-exitcode 3 --print-limit 20 \
      "$PYTHON" scripts/gpu_smoke.py tiny || { echo "$tool: status $?"; status=1; }
  done
  return "$status"
}

bench() {
  local table
  table=$OUT/gpu-$(date +%Y-%m-%d)-$SPLAT_COMMIT.json
  # shellcheck disable=SC2086  # several flags
  "$PYTHON" scripts/bench_gpu.py --json "$table" ${SPLAT_BENCH_FLAGS:-}
}

cpu() {
  local status=0 isa
  for isa in baseline avx2 avx512; do
    if ! SPLAT_CPU_ISA=$isa "$PYTHON" -c 'import torch, splat.native as n; n.load(); torch.ops.splat.cpu_isa()' \
      2>/dev/null; then
      echo "$isa: not on this machine"
      continue
    fi
    echo "$isa:"
    # Once, too, on a GPU's machine: the other backends have had their turn.
    { tests && SPLAT_CPU_ISA=$isa "$PYTHON" -m pytest -q -p no:cacheprovider -k "not cuda" \
      tests/ops tests/test_render.py; } || status=1
  done
  if [[ -n ${SPLAT_POINTS:-} ]]; then
    mkdir -p "$WORK/data/garden_points"
    cp -f "$SPLAT_POINTS" "$WORK/data/garden_points/garden.npz"
    SPLAT_DATA=$WORK/data "$PYTHON" scripts/bench_cpu.py --threads "$(threads)" --seconds 0.3 \
      --scene "garden-20k 640x480" --scene "garden-100k 640x480" --scene "garden-1m 1280x720" \
      --json "$OUT/cpu.json" || status=1
  else
    echo "bench_cpu.py is left out: SPLAT_POINTS names no points."
  fi
  return "$status"
}

threads() { # 1,2,4,8,16, as far as there are cores
  local count list=1
  for count in 2 4 8 16; do
    (($(nproc) >= count)) && list+=,$count
  done
  echo "$list"
}

main() {
  local parts=("$@") part found failed=() seconds=${SPLAT_PART_SECONDS:-} status
  ((${#parts[@]})) || parts=("${ALL[@]}")
  for part in "${parts[@]}"; do
    [[ " ${ALL[*]} " == *" $part "* ]] || { echo "There is no part $part; there are ${ALL[*]}." >&2; exit 1; }
  done
  found=$(gpu)
  for part in "${parts[@]}"; do
    if [[ -z $found && $part != build && $part != cpu ]]; then
      echo "No NVIDIA GPU that torch can use, so $part can't be checked here ('build' and 'cpu' can)." >&2
      exit 2
    fi
  done
  mkdir -p "$OUT" "$WORK"
  [[ -n $found ]] && export SPLAT_CUDA_ARCHS=${SPLAT_CUDA_ARCHS:-$(tr -d . <<<"${found%% *}")}
  SPLAT_COMMIT=${SPLAT_COMMIT:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}
  export SPLAT_COMMIT OMP_WAIT_POLICY=passive PYTHONUNBUFFERED=1 MAX_JOBS=${MAX_JOBS:-$(nproc)}
  export PYTHONPATH=$SITE:$ROOT/scripts${PYTHONPATH:+:$PYTHONPATH}
  export TORCH_EXTENSIONS_DIR=$WORK/torch_extensions
  [[ -n $found ]] && export TORCH_CUDA_ARCH_LIST=${found%% *}
  {
    echo "=== $(date -u +%Y-%m-%dT%H:%MZ) commit $SPLAT_COMMIT, ${found:-no GPU}, ${parts[*]}"
    use_wheels || failed+=(wheels)
    for part in "${parts[@]}"; do
      echo "=== $part"
      SECONDS=0
      if [[ -n $seconds ]]; then
        timeout "$seconds" "$ROOT/scripts/gpu_check.sh" --only "$part"
      else
        "$part"
      fi
      status=$?
      if ((status)); then
        failed+=("$part")
        echo "=== $part: FAILED ($status), $SECONDS s"
      else
        echo "=== $part: passed, $SECONDS s"
      fi
    done
    if ((${#failed[@]})); then
      echo "=== failed: ${failed[*]}"
      false
    else
      echo "=== passed: ${parts[*]}"
    fi
  } 2>&1 | tee -a "$LOG"
  exit "${PIPESTATUS[0]}"
}

# A part in a process of its own, which `timeout` can end; the environment is that of main.
if [[ ${1:-} == --only ]]; then
  "$2"
  exit
fi
main "$@"
