"""The convolutional networks of PyTorch's own tutorials and examples, and of others' that many
learn from: a few convolutions, a few linear layers.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.architectures.elsewhere.blocks import basic_block, conv, head, named, normed, stages
from vizlib.architectures.elsewhere.small import (
    features_of,
    lenet5_features,
    numbered,
    with_linear_layers,
)

GREY = (1, 28, 28)
AS_THEY_ARE = ((0.0,), (1.0,))  # ToTensor and nothing else

TUTORIALS = Source(
    "tutorials",
    "PyTorch's tutorials",
    "https://docs.pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html",
    (0.5, 0.5, 0.5),
    (0.5, 0.5, 0.5),
    "cifar10",
)
GARMENTS = Source(
    "fashion_tutorial",
    "PyTorch's tutorials on Fashion-MNIST",
    "https://docs.pytorch.org/tutorials/beginner/introyt/trainingyt.html",
    (0.5,),
    (0.5,),
)
MNIST = Source(
    "mnist_example",
    "PyTorch's MNIST example",
    "https://github.com/pytorch/examples/tree/main/mnist",
    (0.1307,),
    (0.3081,),
)
NN_TUTORIAL = Source(
    "nn_tutorial",
    "PyTorch's tutorial What is torch.nn really?",
    "https://docs.pytorch.org/tutorials/beginner/nn_tutorial.html",
    *AS_THEY_ARE,
)
YUNJEY = Source(
    "yunjey",
    "yunjey's pytorch-tutorial",
    "https://github.com/yunjey/pytorch-tutorial",
    *AS_THEY_ARE,
)
MORVAN = Source(
    "morvan",
    "MorvanZhou's PyTorch-Tutorial",
    "https://github.com/MorvanZhou/PyTorch-Tutorial",
    *AS_THEY_ARE,
)
UDACITY = Source(
    "udacity",
    "Udacity's deep-learning-v2-pytorch",
    "https://github.com/udacity/deep-learning-v2-pytorch",
    (0.5, 0.5, 0.5),
    (0.5, 0.5, 0.5),
    "cifar10",
)
KERAS = Source(
    "keras_like",
    "Keras's and TensorFlow's first networks for CIFAR-10, in PyTorch",
    "https://www.tensorflow.org/tutorials/images/cnn",
    (0.0, 0.0, 0.0),
    (1.0, 1.0, 1.0),
    "cifar10",
)


def tutorial_net(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    widths: tuple[int, ...] = (6, 16, 120, 84),
) -> nn.Module:
    """conv1, conv2, fc1, fc2, fc3, of these widths."""
    layers = lenet5_features(in_channels, widths=widths[:2])
    return numbered(with_linear_layers(layers, widths[2:], num_classes, image_size))


def garment_classifier(num_classes: int = 10) -> nn.Module:
    """The same for grey pictures of 28 pixels."""
    return tutorial_net(num_classes, 1, 28)


def mnist_now(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """Two 3x3 convolutions, one pool, two linear layers, and the logarithm of a softmax."""
    layers = [
        *(nn.Conv2d(in_channels, 32, 3), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
    ]
    linear = with_linear_layers(layers, (128,), num_classes, image_size)
    return numbered([*linear, nn.LogSoftmax(dim=1)])


def mnist_before(
    widths: tuple[int, int, int],
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int = 28,
) -> nn.Module:
    """Two 5x5 convolutions with pools, two linear layers, and the logarithm of a softmax."""
    first, second, hidden = widths
    layers = [
        *(nn.Conv2d(in_channels, first, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(first, second, 5), nn.MaxPool2d(2), nn.ReLU()),
    ]
    linear = with_linear_layers(layers, (hidden,), num_classes, image_size)
    return numbered([*linear, nn.LogSoftmax(dim=1)])


def three_halvings(
    names: tuple[str, str, str], num_classes: int = 10, in_channels: int = 1
) -> nn.Module:
    """Three 3x3 convolutions of these names that halve the size, the last one with a map a class;
    no linear layer.
    """
    layers = [
        *(conv(in_channels, 16, 3, 2, bias=True), nn.ReLU()),
        *(conv(16, 16, 3, 2, bias=True), nn.ReLU()),
        *(conv(16, num_classes, 3, 2, bias=True), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ]
    return numbered(layers, dict(zip(("conv1", "conv2", "conv3"), names, strict=True)))


def yunjey_convnet(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """layer1.0, layer1.1, layer2.0, layer2.1, fc."""
    layer1 = [*normed(conv(in_channels, 16, 5, bias=True)), nn.MaxPool2d(2)]
    layer2 = [*normed(conv(16, 32, 5, bias=True)), nn.MaxPool2d(2)]
    return named(
        {
            "layer1": nn.Sequential(*layer1),
            "layer2": nn.Sequential(*layer2),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(features_of([*layer1, *layer2], image_size), num_classes),
        }
    )


def yunjey_resnet(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Three stages of two blocks; the shortcuts that change the shape are 3x3 convolutions."""
    block = partial(basic_block, shortcut_name="downsample", shortcut_size=3)
    return named(
        {
            "conv": conv(in_channels, 16),
            "bn": nn.BatchNorm2d(16),
            "relu": nn.ReLU(),
            **stages(block, 16, (16, 32, 64), (2, 2, 2)),
            **head(64, num_classes, "fc"),
        }
    )


def morvan_cnn(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """conv1.0, conv2.0, out."""
    conv1 = [conv(in_channels, 16, 5, bias=True), nn.ReLU(), nn.MaxPool2d(2)]
    conv2 = [conv(16, 32, 5, bias=True), nn.ReLU(), nn.MaxPool2d(2)]
    return named(
        {
            "conv1": nn.Sequential(*conv1),
            "conv2": nn.Sequential(*conv2),
            "flatten": nn.Flatten(),
            "out": nn.Linear(features_of([*conv1, *conv2], image_size), num_classes),
        }
    )


def udacity_net(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> nn.Module:
    """Three padded 3x3 convolutions of 16, 32 and 64 filters with pools, two linear layers."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((in_channels, 16), (16, 32), (32, 64)):
        layers += [conv(inputs, outputs, bias=True), nn.ReLU(), nn.MaxPool2d(2)]
    return numbered(with_linear_layers(layers, (500,), num_classes, image_size))


def tensorflow_cnn(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> nn.Module:
    """Three 3x3 convolutions without padding, two pools, two linear layers."""
    layers = [
        *(nn.Conv2d(in_channels, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU()),
    ]
    return numbered(with_linear_layers(layers, (64,), num_classes, image_size))


def keras_cifar10_cnn(
    num_classes: int = 10, in_channels: int = 3, image_size: int = 32
) -> nn.Module:
    """Twice a padded and a bare 3x3 convolution and a pool, then two linear layers."""
    layers = [
        *(conv(in_channels, 32, bias=True), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(conv(32, 64, bias=True), nn.ReLU()),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
    ]
    return numbered(with_linear_layers(layers, (512,), num_classes, image_size))


add(
    TUTORIALS,
    "cifar10",
    tutorial_net,
    summary="The network of PyTorch's CIFAR-10 tutorial: two 5x5 convolutions with pools, three "
    "linear layers.",
)
add(
    GARMENTS,
    "GarmentClassifier",
    garment_classifier,
    summary="The same network for grey pictures of 28 pixels, as PyTorch's tutorials train it on "
    "Fashion-MNIST.",
    input_size=GREY,
)
add(
    MNIST,
    "Net",
    mnist_now,
    summary="The network of PyTorch's MNIST example since 2019: two 3x3 convolutions, one pool.",
    input_size=GREY,
)
add(
    MNIST,
    "Net_2017",
    partial(mnist_before, (10, 20, 50)),
    summary="The network that PyTorch's MNIST example had at first: 5x5 convolutions of 10 and 20 "
    "filters.",
    input_size=GREY,
)
add(
    MNIST,
    "Net_2018",
    partial(mnist_before, (20, 50, 500)),
    summary="The network that PyTorch's MNIST example had next: 5x5 convolutions of 20 and 50 "
    "filters.",
    input_size=GREY,
)
add(
    NN_TUTORIAL,
    "Mnist_CNN",
    partial(three_halvings, ("conv1", "conv2", "conv3")),
    summary="Three 3x3 convolutions that halve the size, and the mean of each of the last maps.",
    input_size=GREY,
)
add(
    NN_TUTORIAL,
    "sequential",
    partial(three_halvings, ("0", "2", "4")),
    summary="The same as a list of layers: 0, 2, 4.",
    input_size=GREY,
)
add(
    NN_TUTORIAL,
    "sequential_with_preprocessing",
    partial(three_halvings, ("1", "3", "5")),
    summary="The same as a list of layers behind one that makes pictures of the rows: 1, 3, 5.",
    input_size=GREY,
)
add(
    YUNJEY,
    "ConvNet",
    yunjey_convnet,
    summary="Two 5x5 convolutions, each with batch norm and a pool, and one linear layer.",
    input_size=GREY,
)
add(
    YUNJEY,
    "ResNet",
    yunjey_resnet,
    summary="A residual network of three stages of two blocks, 16 to 64 channels wide.",
)
add(
    MORVAN,
    "CNN",
    morvan_cnn,
    summary="Two 5x5 convolutions of 16 and 32 filters with pools, and one linear layer.",
    input_size=GREY,
)
add(
    UDACITY,
    "cifar10_cnn",
    udacity_net,
    summary="Three 3x3 convolutions with pools and two linear layers, of Udacity's course.",
)
add(
    KERAS,
    "images_cnn",
    tensorflow_cnn,
    summary="TensorFlow's tutorial network in PyTorch: 3x3 convolutions of 32, 64 and 64 filters.",
)
add(
    KERAS,
    "cifar10_cnn",
    keras_cifar10_cnn,
    summary="Keras's CIFAR-10 example in PyTorch: four 3x3 convolutions, two pools, 512 hidden "
    "units.",
)
