"""The datasets of the zoo. Adding one is adding an entry to `DATASETS`."""

from collections.abc import Mapping

from zoo.data.spec import DatasetSpec
from zoo.ink.contract import AHCD, AHDD, MNIST, OPTDIGITS
from zoo.pages.patches import Patches
from zoo.recipes import Augmentation

_DIGITS = tuple("0123456789")
_ARABIC_DIGITS = tuple("٠١٢٣٤٥٦٧٨٩")
_ARABIC_LETTERS = tuple("أبتثجحخدذرزسشصضطظعغفقكلمنهوي")

DATASETS: Mapping[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="mnist",
            title="MNIST: handwritten digits",
            labels=_DIGITS,
            script="latin",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "3f074c293944a59f39fd5c9df2c5a5c3d51dd07eae26eaec1a8cd80727532538",
                "test": "226d568e56fefdff4d870175fd86df4f7769cdc495dfa2d21bc91ff721b9266f",
            },
            source="LeCun, Cortes and Burges, 1998, the MNIST database of handwritten digits",
            repo="ylecun/mnist",
            contract=MNIST,
            augmentation=Augmentation(rotation=10, scale=0.1, shear=0.1, shift=0.08),
        ),
        DatasetSpec(
            name="ahdd",
            title="AHDD (MADBase): handwritten Arabic-Indic digits",
            labels=_ARABIC_DIGITS,
            script="arabic",
            image_shape=(28, 28, 1),
            fingerprints={
                "train": "a4ff2cfd54d3be2ef9f1109dda285baa709d67736df04808909c2121ada1c3b1",
                "test": "c6a0b87c4d774b17eaf690e5960cfd650348ef261bbce07de84e89078b232a9b",
            },
            source="Abdelazeem and El-Sherif, 2008, the Arabic digits databases ADBase and MADBase",
            group="writer",
            validation=range(551, 601),  # 50 of the 600 training writers, 100 samples each
            contract=AHDD,
            augmentation=Augmentation(rotation=12, scale=0.1, shear=0.15, shift=0.07),  # mild scale: zero is a dot
        ),
        DatasetSpec(
            name="ahcd",
            title="AHCD: handwritten Arabic letters",
            labels=_ARABIC_LETTERS,
            script="arabic",
            image_shape=(32, 32, 1),
            fingerprints={
                "train": "eefc58087da7a02bac6514339ef92c457883dce13a059a16e50834d6b3ccb928",
                "test": "2783c6b669d694d91e1e849263b654ac60d2dfbc4eec6356a6fa50f454b86b7d",
            },
            source="El-Sawy, Loey and El-Bakry, 2017, Arabic handwritten characters recognition using CNN",
            group="block",
            validation=range(54, 60),  # 6 of 60 blocks, 224 samples each
            contract=AHCD,
            augmentation=Augmentation(rotation=12, scale=0.1, shear=0.15, shift=0.06),  # nothing that hides a dot
            batch_size=64,
            passes=3,
        ),
        DatasetSpec(
            name="pages70",
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
            name="optdigits",
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
            augmentation=Augmentation(),  # eight pixels bear no warp: measured, it only blurs
            batch_size=16,
        ),
    )
}
