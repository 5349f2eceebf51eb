"""Networks as somebody writes them, in a file of their own as theirs are: for test_graph.py."""

import torch
import torch.fx
import torch.nn.functional as F
from torch import nn


class Plain(nn.Module):
    """Everything but convolutions and linear layers is a function, as in PyTorch's tutorials."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=2)
        self.fc1 = nn.Linear(16 * 5 * 5, 12)
        self.fc2 = nn.Linear(12, 7)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.avg_pool2d(F.relu(self.conv2(x), inplace=True), kernel_size=(2, 2))
        x = F.adaptive_avg_pool2d(x, 5)
        x = x.view(x.size(0), -1)
        x = F.dropout(torch.tanh(self.fc1(x)), 0.3, self.training)
        return F.log_softmax(self.fc2(x), dim=1)


class Residual(nn.Module):
    def __init__(self, channels, width, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class ResidualNet(nn.Module):
    def __init__(self, num_classes=5, width=4):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.stages = nn.ModuleList(
            [Residual(width, width), Residual(width, 2 * width, 2), Residual(2 * width, 2 * width)]
        )
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x):
        x = self.stem(x).relu()
        for stage in self.stages:
            x = stage(x)
        return self.head(x.mean([2, 3]))


class Dense(nn.Module):
    """Concatenations, the same pool and ReLU module called again and again."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3 + 4 * n, 4, 3, padding=1) for n in range(3)])
        self.pool, self.relu = nn.MaxPool2d(2), nn.ReLU(inplace=True)
        self.fc = nn.Linear(15, 6)

    def forward(self, x):
        for conv in self.convs:
            x = torch.cat((x, self.relu(conv(x))), 1)
        x = self.pool(self.pool(x))
        return self.fc(torch.flatten(F.adaptive_max_pool2d(x, (1, 1)), 1))


class Squeeze(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x):
        weight = F.silu(self.down(x.mean((-2, -1), keepdim=True)))
        return x * torch.sigmoid(self.up(weight))


class Mobile(nn.Module):
    """Depthwise convolutions, squeeze and excitation, channels that are shuffled."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.Hardswish(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.GroupNorm(2, 8),
            Squeeze(8),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 4))

    def forward(self, x):
        x = self.features(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        left, right = x.chunk(2, dim=1)
        x = torch.cat([left, F.gelu(right)], dim=1)[:, :, ::2]
        if h > 100:
            raise ValueError("these pictures are too large")
        return self.classifier(F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1))


@torch.fx.wrap
def halved(x, share):
    return x / 2 if x.shape[1] > 1 else x * share


class Standardised(nn.Conv2d):
    def forward(self, x):
        mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return F.conv2d(x, self.weight - mean, self.bias, self.stride, self.padding)


class Scaled(nn.Module):
    """Tensors of its own: learned, fixed, and written in the code."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.5, 2.0, 3.0]).view(1, 3, 1, 1))
        self.filters = nn.Parameter(torch.randn(5, 3, 3, 3))
        self.register_buffer("mean", torch.rand(1, 3, 1, 1))
        self.block = nn.Module()
        self.block.shift = nn.Parameter(torch.randn(5))
        self.block.weight = nn.Parameter(torch.randn(5, 5, 3, 3))
        self.standardised = Standardised(3, 3, 3, padding=1)
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        x -= 0.25  # into the pictures themselves
        x = self.standardised(halved((x - self.mean) * self.scale, 3))
        x = F.conv2d(F.conv2d(x, self.filters, padding=1), self.block.weight)
        x = x.clamp(min=0).amax(dim=(2, 3)) + self.block.shift
        return x / torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])


class Shared(nn.Module):
    """One block, called twice; in place, on what is used again."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.block = Residual(4, 4)
        self.act = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        before = self.stem(x)
        after = self.act(before)  # which rewrites `before`
        x = self.block(self.block(after + before))
        for _ in range(len(self.fc.weight)):
            x = x + 1
        return self.fc(x.mean((2, 3)))


class Wrapped(nn.Module):
    """Answers with more than the logits, if anything is asked for besides."""

    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten(), nn.Linear(2, 3))

    def forward(self, images, with_maps=True):
        return {"maps": images, "logits": self.model(images)} if with_maps else self.model(images)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        x = x + self.attention(*[self.norm(x)] * 3, need_weights=False)[0]
        return self.head(x[:, 0])


class AsksForValues(nn.Module):
    def forward(self, x):
        x = x.flatten(1)[:, :4]
        if x.sum() > 0:
            return x * 2
        return x


class AsksForAnItem(AsksForValues):
    def forward(self, x):
        x = x.flatten(1)[:, :4]
        return x * 2 if x.max().item() > 0.5 else x


class Unknown(nn.Module):
    def forward(self, x):
        return torch.fft.fft2(x).abs().mean((2, 3))


class Assigns(nn.Module):
    def forward(self, x):
        x[:, 0] = 0
        return x.mean((2, 3))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x):
        return self.lstm(x.flatten(2).transpose(1, 2))[0][:, -1]


class Sized(nn.Module):
    def __init__(self, side=32):
        super().__init__()
        self.fc = nn.Linear(3 * side * side, 4)

    def forward(self, x):
        return self.fc(x.flatten(1))


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.LazyLinear(4)

    def forward(self, x):
        return self.fc(x.flatten(1))


class Drops(nn.Module):
    def forward(self, x):
        return F.dropout(x.mean((2, 3)))


class Draws(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) + torch.rand(3)


class OfBatch(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) / len(x)


class TwoInputs(nn.Module):
    def forward(self, images, lengths):
        return images.mean((2, 3)) * lengths


class Maps(nn.Module):
    def forward(self, x):
        return x * 2


class TwoOutputs(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)), x.amax((2, 3))


class Stops(nn.Module):
    def __init__(self, depth):
        super().__init__()
        raise RuntimeError(f"{depth} is too deep")
