use super::*;
use std::path::Path;
use std::process::Command;

const MIB: u64 = 1 << 20;
const GPT: PartitionTable =
    PartitionTable::Gpt { disk_guid: Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_8888) };
const MBR: PartitionTable = PartitionTable::Mbr { signature: 0x00c0_ffee };

fn partition(name: &str, kind: PartitionKind, len: u64, guid: u128) -> Partition {
    Partition { start: 0, len, kind, guid: Uuid::from_u128(guid), name: name.to_owned() }
}

fn two() -> Vec<Partition> {
    vec![
        partition("firmware", PartitionKind::Boot, 256 * MIB, 1),
        partition("root", PartitionKind::Linux, 1001 * MIB, 2),
    ]
}

fn written(layout: &Layout) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(layout.size).unwrap();
    layout.write(&Sparse::new(file.as_file())).unwrap();
    file
}

fn tool(program: &str, args: &[&str], image: &Path) -> String {
    let output = Command::new(program).args(args).arg(image).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|e| panic!("{program} (install fdisk and gdisk): {e}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
    said
}

#[test]
fn sfdisk_accepts_the_mbr() {
    if labimg_testkit::judges::missing(&["sfdisk"]) {
        return;
    }
    let layout = Layout::new(MBR, 0, two()).unwrap();
    let file = written(&layout);
    let said = tool("sfdisk", &["--verify"], file.path());
    assert!(said.contains("No errors detected"), "{said}");
    let dump: serde_json::Value = serde_json::from_str(&tool("sfdisk", &["--json"], file.path())).unwrap();
    let table = &dump["partitiontable"];
    assert_eq!((&table["label"], &table["id"]), (&"dos".into(), &"0x00c0ffee".into()));
    let partitions = table["partitions"].as_array().unwrap();
    assert_eq!((&partitions[0]["start"], &partitions[0]["size"]), (&8192.into(), &524_288.into()));
    assert_eq!((&partitions[0]["type"], &partitions[1]["type"]), (&"c".into(), &"83".into()));
    // 1001 MiB are rounded up to 1004.
    assert_eq!((&partitions[1]["start"], &partitions[1]["size"]), (&532_480.into(), &(1004 * 2048).into()));
    assert_eq!(layout.size, (4 + 256 + 1004) * MIB);
    assert_eq!(layout.partuuid(2).as_deref(), Some("00c0ffee-02"));
    assert_eq!((layout.partuuid(0), layout.partuuid(3)), (None, None));
}

#[test]
fn sgdisk_and_sfdisk_accept_the_gpt() {
    if labimg_testkit::judges::missing(&["sgdisk", "sfdisk"]) {
        return;
    }
    let layout = Layout::new(GPT, 16 * MIB, two()).unwrap();
    let file = written(&layout);
    let said = tool("sgdisk", &["-v"], file.path());
    assert!(said.contains("No problems found") && !said.to_lowercase().contains("caution"), "{said}");
    let said = tool("sfdisk", &["--verify"], file.path());
    assert!(said.contains("No errors detected"), "{said}");
    let dump: serde_json::Value = serde_json::from_str(&tool("sfdisk", &["--json"], file.path())).unwrap();
    let table = &dump["partitiontable"];
    assert_eq!(table["id"], "11112222-3333-4444-5555-666677778888");
    let root = &table["partitions"][1];
    assert_eq!((&root["name"], &root["start"]), (&"root".into(), &((16 + 256) * 2048).into()));
    assert_eq!(root["uuid"].as_str().unwrap().to_lowercase(), layout.partuuid(2).unwrap());
    assert_eq!(layout.partuuid(2).as_deref(), Some("00000000-0000-0000-0000-000000000002"));
}

#[test]
fn the_same_layout_gives_the_same_bytes() {
    for table in [MBR, GPT] {
        let layout = Layout::new(table, 0, vec![partition("p", PartitionKind::Linux, MIB, 1)]).unwrap();
        let [first, second] = [written(&layout), written(&layout)].map(|file| std::fs::read(file.path()).unwrap());
        assert!(first == second);
    }
}

#[test]
fn the_copy_serves_when_the_first_table_is_lost() {
    if labimg_testkit::judges::missing(&["sgdisk"]) {
        return;
    }
    let layout = Layout::new(GPT, 0, two()).unwrap();
    let file = written(&layout);
    std::os::unix::fs::FileExt::write_all_at(file.as_file(), &[0; 512], 512).unwrap();
    let said = tool("sgdisk", &["-p"], file.path());
    assert!(said.contains("firmware") && said.contains("root"), "{said}");
}

#[test]
fn what_cannot_be_is_refused() {
    let many = |count| (0..count).map(|n| partition("p", PartitionKind::Linux, MIB, n)).collect::<Vec<_>>();
    assert!(Layout::new(MBR, 0, many(4)).is_ok());
    assert!(Layout::new(MBR, 0, many(5)).is_err());
    assert!(Layout::new(GPT, 0, many(128)).is_ok());
    assert!(Layout::new(GPT, 0, many(129)).is_err());
    assert!(Layout::new(PartitionTable::Mbr { signature: 0 }, 0, many(1)).is_err());
    assert!(Layout::new(MBR, 0, vec![partition("empty", PartitionKind::Linux, 0, 1)]).is_err());
    assert!(Layout::new(GPT, 0, vec![partition(&"x".repeat(37), PartitionKind::Linux, 1, 1)]).is_err());
    assert!(Layout::new(MBR, 0, vec![partition("big", PartitionKind::Linux, 2 << 40, 1)]).is_err());
    for len in [u64::MAX, u64::MAX - ALIGNMENT] {
        assert!(Layout::new(GPT, 0, vec![partition("big", PartitionKind::Linux, len, 1)]).is_err());
    }
}
