"""KDD Cup 1999 and NSL-KDD."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cybersec_mlops.connections import is_feature
from cybersec_mlops.ingestion.kdd import KDD99, NSLKDD
from cybersec_mlops.ingestion.reader import Batch, Head, Recognition, Refusal

SAMPLES = Path(__file__).parent / "samples"
NSL = (SAMPLES / "nsl_kdd.txt").read_text()
ARFF = (SAMPLES / "nsl_kdd.arff").read_text()
KDD = (SAMPLES / "kdd99.data").read_text()
HEADER = (
    "duration,protocol_type,service,flag,src_bytes,dst_bytes,land,wrong_fragment,urgent,hot,num_failed_logins,logged_in,"
    "num_compromised,root_shell,su_attempted,num_root,num_file_creations,num_shells,num_access_files,num_outbound_cmds,"
    "is_host_login,is_guest_login,count,srv_count,serror_rate,srv_serror_rate,rerror_rate,srv_rerror_rate,same_srv_rate,"
    "diff_srv_rate,srv_diff_host_rate,dst_host_count,dst_host_srv_count,dst_host_same_srv_rate,dst_host_diff_srv_rate,"
    "dst_host_same_src_port_rate,dst_host_srv_diff_host_rate,dst_host_serror_rate,dst_host_srv_serror_rate,"
    "dst_host_rerror_rate,dst_host_srv_rerror_rate"
)


def read(text: str, reader: NSLKDD | KDD99 | None = None) -> Batch:
    (batch,) = (reader or NSLKDD()).read(io.BytesIO(text.encode()), source="kdd")
    return batch


def recognised(text: str) -> list[str]:
    answers = [reader.recognise(Head(text.encode(), complete=True)) for reader in (NSLKDD(), KDD99())]
    return [f"{answer.format}/{answer.variant}" for answer in answers if isinstance(answer, Recognition)]


def changed(position: int, value: str) -> Batch:
    lines = NSL.splitlines()
    cells = lines[1].split(",")
    cells[position] = value
    return read("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")


def test_the_sample_reads_to_what_it_says() -> None:
    row = read(NSL).rows.row(4, named=True)
    expected = {
        "duration_s": 25.0,
        "proto": "tcp",
        "service": "telnet",
        "conn_state": "SF",
        "orig_bytes": 269,
        "resp_bytes": 2333,
        "label": "buffer_overflow",
        "is_attack": True,
        "kdd_hot": 2.0,
        "kdd_logged_in": True,
        "kdd_root_shell": True,
        "kdd_su_attempted": 2.0,
        "kdd_same_srv_rate": 1.0,
        "meta_kdd_difficulty": 6.0,
        "ts": None,
        "orig_h": None,
        "resp_p": None,
        "orig_pkts": None,
    }
    assert {name: row[name] for name in expected} == expected


def test_both_sets_read_to_the_same_measures() -> None:
    nsl, kdd = read(NSL).rows, read(KDD, KDD99()).rows
    assert nsl.select(kdd.columns).drop("label_original").equals(kdd.drop("label_original"))
    assert kdd["label_original"].to_list()[:2] == ["normal.", "neptune."]
    assert kdd["label"].to_list()[:2] == ["BENIGN", "neptune"]


def test_there_are_41_features_and_the_difficulty_is_none() -> None:
    rows = read(NSL).rows
    columns = [name for name in rows.columns if rows[name].null_count() < rows.height and name != "raw_line"]
    assert len([name for name in columns if is_feature(name)]) == 41
    assert not is_feature("meta_kdd_difficulty")


def test_the_form_is_recognised_from_a_row() -> None:
    without = "".join(line.rsplit(",", 1)[0] + "\n" for line in NSL.splitlines())
    assert recognised(NSL) == ["nsl_kdd/difficulty"]
    assert recognised(without) == ["nsl_kdd/plain"]
    assert recognised(KDD) == ["kdd99/labelled"]
    assert recognised(without.replace(",normal", "").replace(",neptune", "")) == ["kdd99/unlabelled"]


def test_the_form_is_recognised_behind_a_bad_first_row() -> None:
    text = "junk\n" + NSL
    assert recognised(text) == ["nsl_kdd/difficulty"]
    batch = read(text)
    assert (batch.rows.height, batch.rejected["reason"].to_list()) == (5, ["no_header"])


@pytest.mark.parametrize("end", [",class,difficulty_level", ",label,level"])
def test_a_header_is_tolerated(end: str) -> None:
    text = f"{HEADER}{end}\n{NSL}"
    assert recognised(text) == ["nsl_kdd/difficulty"]
    batch = read(text)
    assert batch.rows.drop("raw_line").equals(read(NSL).rows.drop("raw_line"))
    assert batch.read == 5


def test_a_header_alone_is_told() -> None:
    answer = NSLKDD().recognise(Head(f"{HEADER},class\n".encode(), complete=True))
    assert isinstance(answer, Refusal)
    assert "a header and no rows" in answer.message


def test_a_table_of_another_width_is_told() -> None:
    text = "".join(line.rsplit(",", 5)[0] + "\n" for line in NSL.splitlines())
    answer = NSLKDD().recognise(Head(text.encode(), complete=True))
    assert isinstance(answer, Refusal)
    assert "38 values in a row, expected 41 to 43" in answer.message


@pytest.mark.parametrize(
    ("position", "value", "reason", "field"),
    [
        (0, "-1", "bad_duration", "duration_s"),
        (0, "x", "bad_number", "duration_s"),
        (1, "", "missing_value", "proto"),
        (4, "1.5", "bad_count", "orig_bytes"),
        (5, "-9", "bad_count", "resp_bytes"),
        (11, "2", "bad_boolean", "kdd_logged_in"),
        (14, "-1", "bad_count", "kdd_su_attempted"),
        (24, "1.01", "bad_rate", "kdd_serror_rate"),
        (24, "nan", "bad_rate", "kdd_serror_rate"),
    ],
)
def test_a_row_that_cannot_be_is_rejected(position: int, value: str, reason: str, field: str) -> None:
    batch = changed(position, value)
    assert batch.rows.height == 4
    assert batch.rejected.select("raw_line", "reason", "field").rows() == [(2, reason, field)]


def test_an_empty_value_is_null() -> None:
    batch = changed(4, "")
    assert batch.rows["orig_bytes"].to_list()[1] is None


def test_arff_gives_the_rows_of_the_plain_table() -> None:
    arff, plain = read(ARFF), read(NSL)
    assert recognised(ARFF) == ["nsl_kdd/plain"]
    names = [
        name for name in plain.rows.columns if "label" not in name and name not in ("raw_line", "meta_kdd_difficulty")
    ]
    assert arff.rows.select(names).equals(plain.rows.select(names))
    assert arff.rows["is_attack"].equals(plain.rows["is_attack"])
    assert set(arff.rows["label"]) == {"BENIGN", "anomaly"}
    assert arff.rows["raw_line"][0] == ARFF[: ARFF.index("@data")].count("\n") + 2
    assert arff.skipped == {"arff_header": 45}
    assert arff.rejected.is_empty()


def test_in_arff_only_its_own_lines_are_passed_over() -> None:
    found = read(ARFF + "@home,tcp,http\n%\n")
    assert found.rejected["reason"].to_list() == ["ragged_row"]
    assert found.skipped == {"arff_header": 46}


@pytest.mark.parametrize("ending", ["", "@data\n"])
def test_an_arff_header_alone_is_no_table(ending: str) -> None:
    assert recognised(ARFF[: ARFF.index("@data")] + ending) == []
