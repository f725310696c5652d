"""Draws an experiment as Ray tasks, a shard each, and merges them.

Usage: python tools/results/ray_shards.py --run RUN --out FOLDER --shards N EXPERIMENT [option of run …]

RUN, FOLDER and EXPERIMENT are absolute paths that all of the cluster's machines have. A shard whose
process dies is tried again, and goes on where it was.
"""

import argparse
import subprocess

import ray


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--root", default=".", help="the folder with public/")
    parser.add_argument("experiment")
    arguments, options = parser.parse_known_args()

    @ray.remote(num_cpus=1, max_retries=3, retry_exceptions=True)
    def draw(number: int) -> int:
        shard = f"{number}/{arguments.shards}"
        command = [arguments.run, arguments.experiment, "--out", arguments.out, "--shard", shard]
        subprocess.run([*command, *options], check=True, cwd=arguments.root)
        return number

    ray.init()
    waiting = [draw.remote(number + 1) for number in range(arguments.shards)]
    while waiting:
        done, waiting = ray.wait(waiting)
        print(f"shard {ray.get(done[0])} is done, {len(waiting)} left", flush=True)
    subprocess.run([arguments.run, "merge", arguments.out], check=True)


if __name__ == "__main__":
    main()
