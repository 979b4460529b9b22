"""The datasets of the zoo. Adding one is adding an entry to `DATASETS`."""

from collections.abc import Mapping
from dataclasses import replace

from zoo.data.spec import DatasetSpec
from zoo.ink.contract import AHCD, AHDD, MNIST, OPTDIGITS
from zoo.pages.patches import Patches
from zoo.recipes import Augmentation

_DIGITS = tuple("0123456789")
_ARABIC_DIGITS = tuple("٠١٢٣٤٥٦٧٨٩")
_ARABIC_LETTERS = tuple("أبتثجحخدذرزسشصضطظعغفقكلمنهوي")

# Damage by pens, scanners and cameras in training, see `Augmentation`.
_DAMAGE: dict[str, float] = {"damaged": 0.6, "pen": 0.08, "blur": 0.08, "noise": 0.24, "fading": 0.7}
# A missing piece leaves a Latin glyph readable. Without its dots an Arabic letter is another one, and a dot is a zero.
_LATIN = Augmentation(rotation=10, scale=0.1, shear=0.1, shift=0.08, erased=0.25, **_DAMAGE)
# A dot of an Arabic letter is two or three pixels wide, and has to stay visible.
_DOTS_SURVIVE: dict[str, float] = {**_DAMAGE, "pen": 0.065, "blur": 0.065}
ANY_SCRIPT = Augmentation(rotation=10, scale=0.1, shear=0.1, shift=0.06, **_DOTS_SURVIVE)  # for pictures of whatever

_CAPITALS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SYMBOLS = tuple("!#$%&()*+/:;<=>?@[]^{|}~")
_OMNIGLOT = {  # characters of each alphabet in the two small sets
    "Balinese": 24, "Early_Aramaic": 22, "Greek": 24, "Japanese_(katakana)": 47, "Korean": 40, "Latin": 26,
    "Sanskrit": 42, "Tagalog": 17,
}  # fmt: skip

# 25 of the 289 census employees and 21 of the 250 students, 4,992 samples. In the order of the SHA-256 of their
# numbers, each population gives writers until it has its share of 5,000.
_MNIST_VALIDATION = (
    39, 49, 51, 55, 65, 105, 109, 125, 135, 146, 149, 152, 156, 178, 211, 216, 217, 225, 229, 231, 234, 235, 242, 245,
    286, 2108, 2120, 2127, 2189, 2212, 2221, 2229, 2243, 2250, 2254, 2265, 2272, 2276, 2296, 2307, 2312, 2315, 2330,
    2333, 2336, 2343,
)  # fmt: skip

_UNIPEN = (
    "International Unipen Foundation, 1999, UNIPEN train_r01_v07; Guyon, Schomaker, Plamondon, Liberman and Janet, "
    "1994, UNIPEN project of on-line data exchange and recognizer benchmarks"
)
_UNIPEN_VALIDATION = range(1, 36)  # the same hands in all three parts; numbers of test writers lie between them

DATASETS: Mapping[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="mnist",
            heading="Digits",
            title="MNIST: handwritten digits",
            labels=_DIGITS,
            script="latin",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "3f074c293944a59f39fd5c9df2c5a5c3d51dd07eae26eaec1a8cd80727532538",
                "test": "226d568e56fefdff4d870175fd86df4f7769cdc495dfa2d21bc91ff721b9266f",
            },
            written_by={
                "train": "8ddbedf4aba833f42e66bd8dfb76dc650e90a880571bb74494a0f1b37ac92652",
                "test": "2bf5b82d86341b3846acdfc2152a0d2b9653181b97175ac77b52525d27c47f08",
            },
            source="LeCun, Cortes and Burges, 1998, the MNIST database of handwritten digits",
            repo="ylecun/mnist",
            revision="77f3279092a1c1579b2250db8eafed0ad422088c",
            group="writer",
            writers_file=True,
            populations=("students", "census employees"),
            validation=_MNIST_VALIDATION,
            transfers=("unipen_digits",),
            contract=MNIST,
            augmentation=_LATIN,
        ),
        DatasetSpec(
            name="ahdd",
            heading="Arabic digits",
            title="AHDD (MADBase): handwritten Arabic-Indic digits",
            labels=_ARABIC_DIGITS,
            script="arabic",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "a4ff2cfd54d3be2ef9f1109dda285baa709d67736df04808909c2121ada1c3b1",
                "test": "c6a0b87c4d774b17eaf690e5960cfd650348ef261bbce07de84e89078b232a9b",
            },
            written_by={
                "train": "eb3ec3ec4739519b3384dd17618d0bba655b14621f76bf195da06cec606c955a",
                "test": "9c86444373c9997a3b0473e5c405056469db7857ea707dec81d7c9431c54247d",
            },
            source="Abdelazeem and El-Sherif, 2008, the Arabic digits databases ADBase and MADBase",
            group="writer",
            validation=range(551, 601),  # 50 of the 600 training writers, 100 samples each
            contract=AHDD,
            # Mild scale: zero is a dot.
            augmentation=Augmentation(rotation=12, scale=0.1, shear=0.15, shift=0.07, **_DAMAGE),
        ),
        DatasetSpec(
            name="ahcd",
            heading="Arabic letters",
            title="AHCD: handwritten Arabic letters",
            labels=_ARABIC_LETTERS,
            script="arabic",
            image_shape=(32, 32, 1),
            fingerprints={
                "train": "eefc58087da7a02bac6514339ef92c457883dce13a059a16e50834d6b3ccb928",
                "test": "2783c6b669d694d91e1e849263b654ac60d2dfbc4eec6356a6fa50f454b86b7d",
            },
            written_by={
                "train": "7982399a01ba3d7156d75fc32fcfb7ec4fa9e60494f18c8df36b8f3c3fe3066b",
                "test": "5db67ceb4969bc41b8b2ebed08075536a892b129c4103df3be605e0d4d3f51e9",
            },
            source="El-Sawy, Loey and El-Bakry, 2017, Arabic handwritten characters recognition using CNN",
            group="block",
            validation=range(54, 60),  # 6 of 60 blocks, 224 samples each
            contract=AHCD,
            augmentation=Augmentation(rotation=12, scale=0.1, shear=0.15, shift=0.06, **_DOTS_SURVIVE),
            batch_size=64,
            passes=3,
        ),
        DatasetSpec(
            name="pages70",
            heading="Pages by 70 writers",
            title="Pages of handwriting by 70 writers",
            labels=tuple(f"{n:02d}" for n in range(1, 71)),
            script="latin",
            image_shape=None,
            fingerprints={
                "train": "6e4bc2c6e17def91cda33fb2afe58daae60d81d6ea0197ba9394b0155ae6e968",
                "test": "b5f522c908583ef0cde84f356f2221b227d2929cf8290fdb45ecd28e1066e1c4",
            },
            source="a public set of English pages, one a writer, with two strips a writer for testing",
            validation=0,  # one page a class: what is held out are strips of it, not rows
            view=Patches(),
            augmentation=Augmentation(rotation=7.2, shift=0.05, scale=0.05, contrast=0.2),
            batch_size=32,  # a patch is of a hundred times a glyph's pixels, and takes as much more memory
        ),
        DatasetSpec(
            name="unipen_letters",
            heading="Letters A–Z",
            title="UNIPEN letters: A to Z, either case, written on tablets",
            labels=_CAPITALS,
            script="latin",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "decd372bb0d0dcc8c55e63e9f5c7db4e28c00669eb389a695641f925f8f0baac",
                "test": "cd5237d083ca7a1208b04dedfc27cf63e6c5c093208814398376087c011cc128",
            },
            written_by={
                "train": "95a1b5c10f2ee367b7829e4faab9cc1f80f16b43d750b0b63f86c217ed741726",
                "test": "08956585b7771aee463920cb7dd902cb46b6e71e7784b60dee4ef793146a5efb",
            },
            source=_UNIPEN,
            group="writer",
            validation=_UNIPEN_VALIDATION,  # 29 of 237 writers, 5,118 samples
            contract=MNIST,
            augmentation=replace(_LATIN, shear=0.15),
        ),
        DatasetSpec(
            name="alnum",
            heading="Digits and letters",
            title="Digits and letters: 0 to 9 and A to Z, written on paper and on tablets",
            labels=(*_DIGITS, *_CAPITALS),
            script="latin",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "9c45cbeacd8ebf8f4d578094fd6a2bf589a4eb483223d66f510d64ffb5cf7cfe",
                "test": "dc391fbab9056a9f119f6092453ea473f4a4e8b513c5963a5bc91c5fb9cfed7d",
            },
            written_by={
                "train": "8221e881b171e8fa2193cd1a2a001bc70569bb95244e215e0366d24e20cf69c8",
                "test": "87a727a8d6a6e6b38b126cf4a25ce97df4a90656efea377bc4cdf66bf4a0408b",
            },
            source="mnist, unipen_digits and unipen_letters, put together",
            group="writer",
            # The two parts of UNIPEN number the same writers.
            parts={"mnist": 10_000, "unipen_digits": 0, "unipen_letters": 0},
            validation=(*_UNIPEN_VALIDATION, *(10_000 + writer for writer in _MNIST_VALIDATION)),
            balanced=True,
            contract=MNIST,
            augmentation=_LATIN,
        ),
        DatasetSpec(
            name="unipen_digits",
            heading="Digits on tablets",
            title="UNIPEN digits, written on tablets",
            labels=_DIGITS,
            script="latin",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "81bc04a7b436b54a70947e46e47aecb6f0932ec938bc79e8543cb0884baa9dc9",
                "test": "9d145c165b7d78f140a6089c6a02e24617282bf01b150e18960de6d86f71a710",
            },
            written_by={
                "train": "e8238e096451b618e54d136d4e4b38b52067b50720cdc61dc4814be9637663f3",
                "test": "f390819a75e16a8fcf88129d1437dec144a06cd426e9c5f61e66b0eebd802be8",
            },
            source=_UNIPEN,
            group="writer",
            validation=_UNIPEN_VALIDATION,  # 906 samples
            contract=MNIST,
            augmentation=_LATIN,
            batch_size=64,
            passes=3,
        ),
        DatasetSpec(
            name="unipen_symbols",
            heading="Symbols on tablets",
            title="UNIPEN symbols: punctuation, written on tablets",
            labels=_SYMBOLS,
            script="latin",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "e77219ca3c850e922ec2172f8edd540af06e96e563ce27d0a9bdbf56cb7ff6f6",
                "test": "663718f96aedd46841ff5df80c7d7659c08682b2888ffa3eb98c718771a329aa",
            },
            written_by={
                "train": "de4d6b56301a39609b7e699d25673daa93aee7196ea599b4b34ca68dcbf80b06",
                "test": "9f39e752b5573b527b4ea4160c20b4821dce6ee2d8b1e7492d3d4df140d1ce32",
            },
            source=_UNIPEN,
            group="writer",
            validation=_UNIPEN_VALIDATION,  # 778 samples
            contract=MNIST,
            augmentation=_LATIN,
            batch_size=64,
            passes=3,
        ),
        DatasetSpec(
            name="omniglot_small",
            heading="Characters of eight alphabets",
            title="Omniglot, small sets: 242 characters of eight alphabets",
            labels=tuple(f"{name}-character{n:02d}" for name, count in _OMNIGLOT.items() for n in range(1, count + 1)),
            script="latin",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "752524410ef8775a32361065da8cd16df80c61bff3e2f295bcc002be42492524",
                "test": "e4612ca07489aa35f566da411846b255fc61e1933963576737f580d1c23a83cf",
            },
            written_by={
                "train": "975af7a723cb7b6e91bd5efc60b36fda65ad2fef1256dd3762443885f8217059",
                "test": "7f437afcf593ed62e51774f5727ff12bf97170acdac58fd816787a35f7538fae",
            },
            source="Lake, Salakhutdinov and Tenenbaum, 2015, Human-level concept learning; small sets 1 and 2",
            group="writer",
            validation=range(14, 16),  # 2 of the 15 drawers in each alphabet's training split
            contract=MNIST,
            augmentation=_LATIN,
            batch_size=32,
            passes=3,
        ),
        DatasetSpec(
            name="optdigits",
            heading="Tiny digits",
            title="Optical recognition of handwritten digits, 8 x 8",
            labels=_DIGITS,
            script="latin",
            image_shape=(8, 8, 1),
            fingerprints={
                "train": "4c0d233a70da7d5de308e22e2b0fbc628e31b60a271c84e2d22599958e6a4bf6",
                "test": "8fcbfd35ea8359cfe13c560e0cabdadad51dd988a8b84eab68a03eb7dac1e272",
            },
            source="Alpaydin and Kaynak, 1998, UCI repository; the 1,797 digits that scikit-learn bundles",
            validation=143,  # 10% of the training rows
            contract=OPTDIGITS,
            augmentation=Augmentation(),  # no affine augmentation at 8 x 8 pixels: measured, it only blurs
            batch_size=16,
        ),
    )
}


def heading(name: str) -> str:
    """Return what a page calls a dataset: in a few words, or by its name if it is not of the zoo."""
    return (DATASETS[name].heading if name in DATASETS else "") or name
