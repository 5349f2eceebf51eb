"""torchvision's pretrained networks by name, from a cache and a server of the test's own: files of
the right shapes with random weights, called after their real digests.
"""

import hashlib
import http.server
import io
import threading
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torchvision import models

from vizlib import architectures
from vizlib.bring import pretrained
from vizlib.errors import UserError
from vizlib.run.weights import load_into


def saved(tensors):
    """The bytes of a file as torch.save writes it."""
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()


def random_network(name, **arguments):
    torch.manual_seed(6)
    return architectures.create(f"torchvision/{name}", **arguments).eval()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torchvision's cache, an empty folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def stand_in(monkeypatch):
    """stand_in(data, url) puts these bytes in the place of all weights of torchvision's, under a
    name with their digest, or another one; returns the file's name.
    """
    real = pretrained.weights_of

    def put(data, server="https://download.pytorch.org/models", digest=None):
        digest = digest or hashlib.sha256(data).hexdigest()
        file_name = f"standing_in-{digest[:8]}.pth"

        def weights(name):
            own = real(name)
            meta = own.meta | {"_file_size": len(data) / (1 << 20)}
            return SimpleNamespace(
                url=f"{server}/{file_name}", transforms=own.transforms, meta=meta
            )

        monkeypatch.setattr(pretrained, "weights_of", weights)
        return file_name

    return put


@pytest.fixture
def server(tmp_path):
    """(address, folder that it serves)."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()


def put(cache, file_name, data):
    cache.mkdir(parents=True)
    (cache / file_name).write_bytes(data)


def test_names_are_those_that_torchvision_has_weights_of():
    assert len(pretrained.names()) == 80
    for name in pretrained.names():
        assert f"torchvision/{name}" == architectures.get(f"torchvision/{name}").name
    assert pretrained.entries("torchvision/resnet50") == ["IMAGENET1K_V2", "IMAGENET1K_V1"]
    # the features of one alone, without classes, are none
    assert pretrained.entries("vgg16") == ["IMAGENET1K_V1"]


@pytest.mark.parametrize("ask", [pretrained.is_cached, pretrained.arrange, pretrained.class_names])
def test_a_name_of_none_says_which_there_are(ask):
    with pytest.raises(UserError, match="no pretrained network of torchvision named 'resnet19'"):
        ask("resnet19")
    with pytest.raises(UserError, match="Possible: IMAGENET1K_V2, IMAGENET1K_V1"):
        ask("resnet50@BEST")


def test_classes_and_preparation_are_those_of_the_weights():
    assert len(pretrained.class_names("vit_b_16")) == 1000
    assert pretrained.class_names("resnet18")[281] == "tabby"
    usual = pretrained.preparation("resnet18")
    assert (usual.crop, usual.resize) == (224, 256)
    assert (usual.mean[2], usual.std[0]) == (0.406, 0.229)
    assert "shorter side is 256" in usual.words
    other = pretrained.preparation("inception_v3")
    assert (other.crop, other.mean) == (299, (0.5, 0.5, 0.5))
    assert pretrained.preparation("vit_b_16@IMAGENET1K_SWAG_E2E_V1").crop == 384
    assert "as torchvision tests it" in pretrained.preparation("maxvit_t").words


def test_from_the_cache(cache, stand_in):
    model = random_network("squeezenet1_1")
    data = saved(model.state_dict())
    file_name = stand_in(data)
    assert not pretrained.is_cached("squeezenet1_1")
    with pytest.raises(UserError, match=f"not on this machine.*{file_name}"):
        pretrained.arrange("squeezenet1_1")
    put(cache, file_name, data)
    assert pretrained.is_cached("squeezenet1_1")
    arranged = pretrained.arrange("torchvision/squeezenet1_1")
    assert arranged.architecture == "torchvision/squeezenet1_1"
    assert arranged.arguments == {"num_classes": 1000}
    assert arranged.input_size == (3, 224, 224)
    assert arranged.class_names[281] == "tabby"
    assert arranged.origin["sha256"] == hashlib.sha256(data).hexdigest()
    assert arranged.origin["file"] == file_name
    own = architectures.create(arranged.architecture, **arranged.arguments).eval()
    load_into(own, arranged.tensors)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(own(image), model(image))


def test_old_keys_sizes_and_auxiliary_heads(cache, stand_in):
    """As torchvision's own files have them."""
    own = random_network("densenet121").state_dict()
    old = {
        key.replace("norm1", "norm.1").replace("conv2", "conv.2"): tensor
        for key, tensor in own.items()
        if not key.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    data = saved(old)
    put(cache, stand_in(data), data)
    arranged = pretrained.arrange("densenet121")
    assert arranged.tensors.keys() == {key for key in own if not key.endswith("tracked")}


def test_heads_of_the_training_alone_are_left_out(cache, stand_in):
    data = saved(random_network("googlenet_aux").state_dict())
    put(cache, stand_in(data), data)
    arranged = pretrained.arrange("googlenet")
    load_into(architectures.create(arranged.architecture, **arranged.arguments), arranged.tensors)
    assert arranged.preparation.mean == (0.5, 0.5, 0.5)


def test_a_network_of_one_size_is_told_which():
    assert pretrained._sized("vit_b_16", 384) == {"image_size": 384}
    assert pretrained._sized("resnet18", 224) == {}


def test_a_download_appears_whole(cache, stand_in, server):
    address, folder = server
    data = saved({"features.0.weight": torch.randn(400, 1000)})
    file_name = stand_in(data, address)
    (folder / file_name).write_bytes(data)
    shares = []
    path = pretrained.fetch("squeezenet1_1", shares.append)
    assert path == cache / file_name
    assert path.read_bytes() == data
    assert shares == sorted(shares)
    assert len(shares) > 3
    assert 0 < shares[0] < 1
    assert shares[-1] == 1
    assert [each.name for each in cache.iterdir()] == [file_name]


@pytest.mark.parametrize(
    ("served", "sentence"),
    [
        (b"<html>sign in</html>", "damaged on its way"),
        (b"x" * 2_000_000, "larger than it should be"),
        (None, "could not be downloaded"),
    ],
)
def test_what_is_not_the_file_is_refused_and_nothing_is_left(
    cache, stand_in, server, served, sentence
):
    address, folder = server
    file_name = stand_in(b"what was meant", address)
    if served is not None:
        (folder / file_name).write_bytes(served)
    with pytest.raises(UserError, match=sentence):
        pretrained.fetch("resnet18")
    assert not pretrained.is_cached("resnet18")
    assert list(cache.iterdir()) == []


def test_nobody_answers(cache, stand_in):
    stand_in(b"anything", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="Without a network, put http://127.0.0.1:9"):
        pretrained.fetch("resnet18")


def test_a_download_can_be_cancelled(cache, stand_in, server):
    address, folder = server
    data = bytes(1_000_000)
    (folder / stand_in(data, address)).write_bytes(data)

    def cancel(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrained.fetch("resnet18", cancel)
    assert list(cache.iterdir()) == []


def test_a_file_of_another_digest_is_not_read(cache, stand_in):
    data = saved(random_network("squeezenet1_1").state_dict())
    put(cache, stand_in(data, digest="0123abcd"), data)
    with pytest.raises(UserError, match="is not what its name says it is"):
        pretrained.arrange("squeezenet1_1")


def test_a_pickle_in_the_cache_is_not_run(cache, stand_in):
    """Not even where its digest is right."""
    data = saved({"weights": models.squeezenet1_1})
    put(cache, stand_in(data), data)
    with pytest.raises(UserError, match="could run code"):
        pretrained.arrange("squeezenet1_1")


def test_what_cannot_be_opened_is_not_downloaded(cache):
    with pytest.raises(UserError, match="2.5 GB; up to 1 GB can be opened"):
        pretrained.fetch("vit_h_14")
    assert not cache.exists()
