"""Public data sets by name: where they are, what may be done with them, and how their archives are laid out.

Addresses, checksums and licences were read in the data sets' own pages or in the code of those who load them; what
could not be read is said to be unknown, and never guessed. Nothing here touches the network.
"""

from dataclasses import dataclass

UNKNOWN = "not stated where we looked; read it on the page"
BBBC = "https://data.broadinstitute.org/bbbc"
CTC = "https://data.celltrackingchallenge.net/training-datasets"
PYTC = "https://huggingface.co/datasets/pytc"
# https://celltrackingchallenge.net/datasets, "Conditions of use of the images"
CTC_TERMS = (
    "the challenge's conditions: cite and acknowledge it; public scientific use outside the challenge needs "
    "the permission of the data's providers, commercial use that of the organisers as well"
)


@dataclass(frozen=True)
class File:
    """One archive. sha256: None where nobody has published it. size: bytes, None where unknown."""

    url: str
    name: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Rule:
    """Members of archives whose path matches go to `to`, where \\1 and the like are what the groups matched."""

    match: str
    to: str


@dataclass(frozen=True)
class Public:
    """One data set. hint: settings that its files need, as `axes=zyx unit=um`, where they do not say them."""

    name: str
    what: str
    licence: str
    cite: str
    page: str
    files: tuple[File, ...] = ()
    rules: tuple[Rule, ...] = ()
    merge: str | None = None  # of masks, one per object: groups are the image and the object
    grey: str | None = None  # masks that are saved as colours, white on black
    flip: str | None = None  # members whose y axis runs the other way than that of their images
    hint: str = ""

    @property
    def size(self) -> int | None:
        """Bytes of all archives, as far as they are known."""
        sizes = [file.size for file in self.files]
        return sum(n for n in sizes if n is not None) if sizes and None not in sizes else None


def ctc(name: str, what: str, sha256: str | None = None, size: int | None = None) -> Public:
    """A data set of the Cell Tracking Challenge: frames, gold and silver masks."""
    return Public(
        name.lower(),
        what,
        CTC_TERMS,
        "Ulman et al., Nature Methods 14:1141, 2017, doi:10.1038/nmeth.4473",
        "https://celltrackingchallenge.net/datasets",
        (File(f"{CTC}/{name}.zip", f"{name}.zip", sha256, size),),
        (
            Rule(r"[^/]+/(\d\d)/t(\d+)\.tif", r"images/\1_t\2.tif"),
            Rule(r"[^/]+/(\d\d)_GT/SEG/man_seg(\d+)\.tif", r"labels/\1_t\2.tif"),
            Rule(r"[^/]+/(\d\d)_GT/SEG/man_seg_(\d+)_(\d+)\.tif", r"slices/\1_t\2_z\3.tif"),
            Rule(r"[^/]+/(\d\d)_ST/SEG/man_seg(\d+)\.tif", r"silver/\1_t\2.tif"),
        ),
        hint="voxel=z,y,x unit=um as on the page, of images in 3D" if "N3D" in name else "",
    )


HL60 = {  # of BBBC024: share of clustered nuclei, signal to noise
    ("c00", "low"): "c725828c267c347245e94f2dd4bfd65222fbbb526eb020fd5143cf7c7400e495",
    ("c00", "high"): "2a18179503dbd00172c6ea62a7e55752a5e86816b44faf8d1abc8f4cc9346c7b",
    ("c25", "low"): "7a6a302ab8335657dfb98d8d129691204f333b87f00abdedc5737cc27c80101a",
    ("c25", "high"): "83662cad96f01d6956eba40a3b4b1d1e05f90400ff4fb63406d6bcebbac63a6b",
    ("c50", "low"): "80f1b11f985fae6052619083c2a8bff0dc6a4a75c1beb2d7b2d90257f59c69f7",
    ("c50", "high"): "ba8fe5d26adec8d6e7ab224b06c1261218825ab1b3bf260a30515d6ebf77fa21",
    ("c75", "low"): "b0e2f19d70012e2be4ccf7a7f1d0502858a45d60d1af01d2e32fad7c86263af3",
    ("c75", "high"): "2d56055a09d7dd22911f593dcfdef93be074ae27d58d7f7d32d089a25217fc09",
}


def bbbc024(clustered: str, noise: str) -> Public:
    archive = f"BBBC024_v1_{clustered}_{noise}SNR_images_TIFF.zip"
    share = f"{int(clustered[1:])} % clustered, {noise} signal to noise"
    return Public(
        f"bbbc024-{clustered}-{noise}",
        f"30 simulated volumes of 20 HL60 nuclei, 129 x 565 x 807, {share}",
        "CC BY 3.0",
        "Svoboda et al., Cytometry A 75:494, 2009, doi:10.1002/cyto.a.20714",
        "https://bbbc.broadinstitute.org/BBBC024",
        (File(f"{BBBC}/BBBC024/{archive}", archive, HL60[clustered, noise]),),
        (
            Rule(r"(?:.*/)?image-final_(\d+)\.tif", r"images/\1.tif"),
            Rule(r"(?:.*/)?image-labels_(\d+)\.tif", r"labels/\1.tif"),
        ),
        hint="axes=zyx voxel=z,y,x unit=um as on the page",
    )


def nucmm(letter: str, what: str) -> Public:
    return Public(
        f"nucmm-{letter.lower()}",
        what,
        "MIT",
        "Lin et al., NucMM Dataset, MICCAI 2021, doi:10.1007/978-3-030-87193-2_16",
        "https://huggingface.co/datasets/pytc/NucMM",
        (File(f"{PYTC}/NucMM/resolve/main/NucMM-{letter}.zip", f"NucMM-{letter}.zip"),),
        (
            Rule(r"(?:.*/)?Image/(train|val)/([^/]+)\.h5", r"\1/images/\2.h5"),
            Rule(r"(?:.*/)?Label/(train|val)/([^/]+)\.h5", r"\1/labels/\2.h5"),
        ),
        hint="axes=zyx voxel=z,y,x unit=um as in the paper",
    )


def mitoem(name: str, what: str, raw: File, labels: File) -> Public:
    return Public(
        name,
        what,
        UNKNOWN,
        "Wei et al., MitoEM Dataset, MICCAI 2020, doi:10.1007/978-3-030-59722-1_7",
        "https://mitoem.grand-challenge.org",
        (raw, labels),
        (
            Rule(r"(?:.*/)?im/im(\d+)\.png", r"images/\1.png"),
            Rule(r"(?:.*/)?mito-(train|val)-v2/seg(\d+)\.tif", r"\1/labels/\2.tif"),
        ),
        hint="axes=zyx voxel=z,y,x unit=nm as on the page",
    )


PUBLIC: dict[str, Public] = {
    one.name: one
    for one in (
        Public(
            "dsb2018",
            "497 fluorescence images of nuclei in 2D, of the Data Science Bowl 2018, as StarDist has them",
            "CC0",
            "Caicedo et al., Nature Methods 16:1247, 2019, doi:10.1038/s41592-019-0612-7",
            "https://github.com/stardist/stardist",
            (
                File(
                    "https://github.com/stardist/stardist/releases/download/0.1.0/dsb2018.zip",
                    "dsb2018.zip",
                    "e44921950edce378063aa4457e625581ba35b4c2dbd9a07c19d48900129f386f",
                    26_975_232,
                ),
            ),
            (
                Rule(r"dsb2018/(train|test)/images/([^/]+\.tif)", r"\1/images/\2"),
                Rule(r"dsb2018/(train|test)/masks/([^/]+\.tif)", r"\1/labels/\2"),
            ),
        ),
        Public(
            "bbbc038",
            "670 images of nuclei in 2D, fluorescence and stained, Data Science Bowl 2018 stage 1",
            "CC0",
            "Caicedo et al., Nature Methods 16:1247, 2019, doi:10.1038/s41592-019-0612-7",
            "https://bbbc.broadinstitute.org/BBBC038",
            (File(f"{BBBC}/BBBC038/stage1_train.zip", "bbbc038_stage1_train.zip", None, 82_900_000),),
            (Rule(r"(?:stage1_train/)?[^/]+/images/([^/]+\.png)", r"images/\1"),),
            merge=r"(?:stage1_train/)?([^/]+)/masks/([^/]+)\.png",
            hint="channel=luminance",
        ),
        Public(
            "bbbc006",
            "768 images of U2OS nuclei in 2D (Hoechst, the plane in focus)",
            UNKNOWN,
            "Ljosa et al., Nature Methods 9:637, 2012, doi:10.1038/nmeth.2083",
            "https://bbbc.broadinstitute.org/BBBC006",
            (
                File(f"{BBBC}/BBBC006/BBBC006_v1_images_z_16.zip", "BBBC006_v1_images_z_16.zip"),
                File(f"{BBBC}/BBBC006/BBBC006_v1_labels.zip", "BBBC006_v1_labels.zip"),
            ),
            (
                Rule(r"(?:.*/)?BBBC006_v1_images_z_16/[^/]*_([a-p]\d\d)_s(\d)_w1[^/]*\.tif", r"images/\1_s\2.tif"),
                Rule(r"(?:.*/)?BBBC006_v1_labels/[^/]*_([a-p]\d\d)_s(\d)[^/]*\.png", r"labels/\1_s\2.png"),
            ),
        ),
        Public(
            "bbbc050",
            "165 volumes of nuclei in mouse embryos, 11 to train, 4 to test",
            "CC BY 3.0",
            "Tokuoka et al., npj Syst Biol Appl 6:32, 2020, doi:10.1038/s41540-020-00152-8",
            "https://bbbc.broadinstitute.org/BBBC050",
            (
                File(
                    f"{BBBC}/BBBC050/Images.zip",
                    "BBBC050_Images.zip",
                    "29f100abbfebfb1986b8e87eac091e86d8ec27cd8194f9a1c02c805e76b6dcd8",
                    128_000_000,
                ),
                File(
                    f"{BBBC}/BBBC050/GroundTruth.zip",
                    "BBBC050_GroundTruth.zip",
                    "1f19b308730dccf217c4d4dcf5745ad0fcde4eeb9f9c9306b2c8abd1fe73e5d1",
                    2_000_000,
                ),
            ),
            (
                Rule(r"Images/(train|test)/Images/([^/]+\.tif)", r"\1/images/\2"),
                Rule(r"GroundTruth/(train|test)/GroundTruth_QCANet/([^/]+\.tif)", r"\1/labels/\2"),
            ),
            hint="axes=zyx voxel=1.75,0.8,0.8 unit=um (test: 2,0.8,0.8)",
        ),
        *(bbbc024(*kind) for kind in HL60),
        ctc(
            "Fluo-N2DL-HeLa",
            "HeLa nuclei in 2D over time, dense",
            "35dd99d58e071aba0b03880128d920bd1c063783cc280f9531fbdc5be614c82e",
        ),
        ctc(
            "Fluo-N2DH-GOWT1",
            "mouse stem cell nuclei in 2D over time",
            "1a7bd9a7d1d10c4122c7782427b437246fb69cc3322a975485c04e206f64fc2c",
        ),
        ctc(
            "Fluo-N2DH-SIM+",
            "simulated HL60 nuclei in 2D over time",
            "3e809148c87ace80c72f563b56c35e0d9448dcdeb461a09c83f61e93f5e40ec8",
        ),
        ctc("Fluo-N3DH-CE", "C. elegans embryo nuclei in 3D over time; masks of some slices", None, 3_000_000_000),
        ctc("Fluo-N3DH-CHO", "hamster ovary nuclei in 3D over time; masks of some slices"),
        ctc("Fluo-N3DH-SIM+", "simulated HL60 nuclei in 3D over time", None, 3_100_000_000),
        nucmm("Z", "nuclei in electron microscopy of a zebrafish brain (CySGAN's source)"),
        nucmm("M", "nuclei in micro-CT of a mouse cortex"),
        Public(
            "nucexm",
            "nuclei in expansion microscopy of a zebrafish brain (CySGAN's target)",
            UNKNOWN,
            "Lauenburg et al., CySGAN, arXiv:2204.03082",
            "https://connectomics-bazaar.github.io/proj/CySGAN/index.html",
        ),
        Public(
            "gonuclear",
            "5 volumes of plant ovule nuclei with gold-standard labels",
            UNKNOWN,
            "Vijayan et al., Development 151, 2024, doi:10.1242/dev.202800",
            "https://www.ebi.ac.uk/biostudies/BioImages/studies/S-BIAD1026",
            (
                File(
                    "https://www.ebi.ac.uk/biostudies/files/S-BIAD1026/Nuclei_training_segmentation/"
                    "Training%20image%20dataset_Tiff%20Files.zip",
                    "gonuclear.zip",
                    "b103388a4aed01c7aadb2d5f49392d2dd08dd7cbeb2357b0c56355384ebb93a9",
                ),
            ),
            (
                Rule(r"(?:.*/)?(\d+)_n_H2BtdTomato\.tiff?", r"images/\1.tif"),
                Rule(r"(?:.*/)?(\d+)_n_stain_StarDist_goldGT\.tiff?", r"labels/\1.tif"),
            ),
            flip=r".*_goldGT\.tiff?",
            hint="axes=zyx voxel=0.2837,0.1268,0.1268 unit=um where the files do not say it",
        ),
        Public(
            "lucchi",
            "mitochondria in electron microscopy of a mouse hippocampus, two stacks of 165 (Lucchi++)",
            UNKNOWN,
            "Casser et al., arXiv:1812.06024; Lucchi et al., IEEE TMI 31:474, 2012",
            "https://sites.google.com/view/connectomics",
            (
                File(
                    "http://www.casser.io/files/lucchi_pp.zip",
                    "lucchi_pp.zip",
                    "770ce9e98fc6f29c1b1a250c637e6c5125f2b5f1260e5a7687b55a79e2e8844d",
                ),
            ),
            (
                Rule(r"Lucchi\+\+/Train_In/mask(\d+)\.png", r"train/images/\1.png"),
                Rule(r"Lucchi\+\+/Train_Out/(\d+)\.png", r"train/labels/\1.png"),
                Rule(r"Lucchi\+\+/Test_In/mask(\d+)\.png", r"test/images/\1.png"),
                Rule(r"Lucchi\+\+/Test_Out/(\d+)\.png", r"test/labels/\1.png"),
            ),
            grey=r"Lucchi\+\+/.*_Out/.*",
            hint="axes=zyx voxel=5,5,5 unit=nm",
        ),
        Public(
            "vnc",
            "mitochondria in electron microscopy of a Drosophila nerve cord, 20 sections (and 20 without labels)",
            "CC BY-NC-SA",
            "Gerhard et al., figshare 2013, doi:10.6084/m9.figshare.856713",
            "https://github.com/unidesigner/groundtruth-drosophila-vnc",
            (
                File(
                    "https://github.com/unidesigner/groundtruth-drosophila-vnc/archive/refs/heads/master.zip",
                    "vnc.zip",
                    "f7bd0db03c86b64440a16b60360ad60c0a4411f89e2c021c7ee2c8d6af3d7e86",
                ),
            ),
            (
                Rule(r"[^/]+/stack1/raw/(\d+)\.tif", r"train/images/\1.tif"),
                Rule(r"[^/]+/stack1/mitochondria/(\d+)\.png", r"train/labels/\1.png"),
                Rule(r"[^/]+/stack2/raw/(\d+)\.tif", r"unlabelled/images/\1.tif"),
            ),
            hint="axes=zyx voxel=50,4.6,4.6 unit=nm",
        ),
        mitoem(
            "mitoem-rat",
            "mitochondria in electron microscopy of a rat cortex, 1000 sections of 4096 x 4096",
            File(
                f"{PYTC}/EM30/resolve/main/EM30-R-im.zip",
                "EM30-R-im.zip",
                "6a2cac68adde5d01984542d3ee1d7753d1fa3e6eb2a042ce15ce297c95885bbe",
            ),
            File(
                f"{PYTC}/MitoEM/resolve/main/EM30-R-mito-train-val-v2.zip",
                "EM30-R-mito-train-val-v2.zip",
                "c56380ac575428a818bd293ca3509d1249999846c3702ccbf11d308acdd2ae86",
            ),
        ),
        mitoem(
            "mitoem-human",
            "mitochondria in electron microscopy of a human cortex, 1000 sections of 4096 x 4096",
            File(
                "https://www.dropbox.com/s/z41qtu4y735j95e/EM30-H-im.zip?dl=1",
                "EM30-H-im.zip",
                "98fe259f36a7d8d43f99981b7a0ef8cdeba2ce2615ff91595f428ae57207a041",
            ),
            File(
                "https://www.dropbox.com/s/dhf89bc14kemw4e/EM30-H-mito-train-val-v2.zip?dl=1",
                "EM30-H-mito-train-val-v2.zip",
                "0e8ed292cfcd0c58701d9f4299244a1b66d6aeb506c85754c34f98a4eda0ef1b",
            ),
        ),
    )
}
