#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The peer of scripts/bench-train: one training step of the same ResNet-18 in PyTorch (Debian python3-torch), channels-last.

usage: torch_step.py THREADS f32|bf16    a step a line of input; prints its milliseconds of wall time"""
import sys
import time

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def resnet18():
    layers, channels = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(channels, width, stride), Block(width, width, 1)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10, bias=False))


def main():
    torch.set_num_threads(int(sys.argv[1]))
    bf16 = sys.argv[2] == 'bf16'
    torch.manual_seed(1)
    net = resnet18().to(memory_format=torch.channels_last).train()
    x = torch.randn(128, 3, 32, 32).to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (128,))
    print('ready', torch.__version__, flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        net.zero_grad(set_to_none=True)
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        print(f'{(time.perf_counter() - begin) * 1e3:.3f}', flush=True)


main()
