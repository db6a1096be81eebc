//! Tables of text: what is a name and what a number, by what people's programs write.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::common::arrayfs;

/// What became of a table: `dtype [shape] numbers`, the names of rows and columns, and what was said.
struct Taken {
    array: String,
    said: String,
}

fn numbers(bytes: &[u8], dtype: &str) -> Vec<String> {
    macro_rules! each {
        ($t:ty) => {
            bytes.as_chunks().0.iter().map(|item| <$t>::from_le_bytes(*item).to_string()).collect()
        };
    }
    match dtype {
        "bool" | "uint8" => each!(u8),
        "int32" => each!(i32),
        "int64" => each!(i64),
        "uint64" => each!(u64),
        "float32" => each!(f32),
        "float64" => each!(f64),
        other => panic!("{other} is not read here"),
    }
}

/// The array at `path`, in words.
pub fn shown(path: &Path) -> String {
    let yaml: serde_yaml::Value =
        serde_yaml::from_slice(&fs::read(path.with_extension("yaml")).unwrap()).unwrap();
    let dtype = yaml["dtype"].as_str().unwrap();
    let shape: Vec<u64> =
        yaml["shape"].as_sequence().unwrap().iter().map(|axis| axis.as_u64().unwrap()).collect();
    let numbers = numbers(&fs::read(path.with_extension("array")).unwrap(), dtype).join(" ");
    let names = ["rows", "cols"].map(|axis| {
        let names = fs::read_to_string(path.with_extension(format!("{axis}.txt")));
        names
            .map(|names| format!(" {axis}: {}", names.trim_end_matches('\n').replace('\n', "|")))
            .unwrap_or_default()
    });
    format!("{dtype} {shape:?} {numbers}{}{}", names[0], names[1])
}

fn take(name: &str, text: &[u8], options: &[&str]) -> Taken {
    let dir = tempdir().unwrap();
    let (file, path) = (dir.path().join(name), dir.path().join("x"));
    fs::write(&file, text).unwrap();
    let output = arrayfs().arg("import").arg(&file).arg(&path).args(options).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let array = match output.status.code() {
        Some(0) => shown(&path),
        Some(1) if !path.with_extension("yaml").exists() => "refused".into(),
        other => panic!("{name} {text:?}: {other:?} {said}"),
    };
    Taken { array, said }
}

/// A file's name, its text, options, what becomes of it, and what is said.
type Case<'c> = (&'c str, &'c str, &'c [&'c str], &'c str, &'c str);

fn check(cases: &[Case<'_>]) {
    for (name, text, options, wanted, said) in cases {
        let found = take(name, text.as_bytes(), options);
        assert_eq!(found.array, *wanted, "{name} {text:?} {options:?}: {}", found.said);
        assert!(found.said.contains(said), "{text:?}: {said:?} is not in {:?}", found.said);
    }
}

#[test]
fn a_header_is_told_from_numbers_or_chosen() {
    check(&[
        (
            "t.csv",
            "gene,2010,2011\nA,1,2\nB,3,4\n",
            &[],
            "int64 [2, 2] 1 2 3 4 rows: A|B cols: 2010|2011",
            "line 1 is taken as names (--header no",
        ),
        (
            "t.csv",
            ",2010,2011\nA,1,2\nB,3,4\n",
            &[],
            "int64 [2, 2] 1 2 3 4 rows: A|B cols: 2010|2011",
            "line 1 is taken as names",
        ),
        (
            "t.csv",
            "gene,2010,2011\nA,1,2\nB,3,4\n",
            &["--header", "no"],
            "int64 [3, 2] 2010 2011 1 2 3 4 rows: gene|A|B",
            "",
        ),
        (
            "t.csv",
            "0,1,2\n1.5,2.5,3.5\n4.5,5.5,6.5\n",
            &["--header", "yes"],
            "float64 [2, 3] 1.5 2.5 3.5 4.5 5.5 6.5 cols: 0|1|2",
            "",
        ),
        (
            "t.csv",
            "0,1,2\n1.5,2.5,3.5\n",
            &[],
            "float64 [2, 3] 0 1 2 1.5 2.5 3.5",
            "line 1 is taken as numbers (--header yes",
        ),
        (
            "t.csv",
            "# made by savetxt\n1.0,2.0\n3.0,4.0\n",
            &[],
            "float64 [2, 2] 1 2 3 4",
            "1 line is a comment and left out (the first: line 1)",
        ),
        ("t.csv", "# x,y\n1,2\n3,4\n", &[], "int64 [2, 2] 1 2 3 4 cols: x|y", "a comment, is taken as names"),
        ("t.csv", "# x,y\n1,2\n3,4\n", &["--header", "no"], "int64 [2, 2] 1 2 3 4", "1 line is a comment"),
        ("t.csv", "made by hand\n1.0,2.0\n3.0,4.0\n", &[], "refused", "--skip-lines 1"),
        ("t.csv", "made by hand\n1.0,2.0\n3.0,4.0\n", &["--skip-lines", "1"], "float64 [2, 2] 1 2 3 4", ""),
        ("t.csv", "\"2010\",\"2011\"\n1,2\n", &[], "int64 [1, 2] 1 2 cols: 2010|2011", ""),
        ("t.csv", "row,c0,c1\n10,1,2\n20,3,4\n", &[], "int64 [2, 2] 1 2 3 4 rows: 10|20", ""),
        ("t.csv", "id,a\n10,1\n20,2\n", &["--row-names", "yes"], "int64 [2] 1 2 rows: 10|20", ""),
        ("t.csv", "id,a\n10,1\n20,2\n", &[], "int64 [2, 2] 10 1 20 2 cols: id|a", ""),
        (
            "t.csv",
            "a,b\n1,2\n?,3\n4,5\n",
            &[],
            "refused",
            "line 3, column 1: expected a number, found \"?\" (--na",
        ),
        ("t.csv", "a,b\n1,2\n?,3\n4,5\n", &["--na", "?"], "float64 [3, 2] 1 2 NaN 3 4 5 cols: a|b", ""),
        ("t.csv", "a,b\n1,2\n?,3\n", &["--row-names", "yes"], "int64 [2] 2 3 rows: 1|?", ""),
        (
            "t.csv",
            "a,b\n1,2\n1O,3\n4,5\n",
            &[],
            "refused",
            "line 3, column 1: expected a number, found \"1O\"",
        ),
        ("t.csv", "a,b\n", &[], "refused", "it has names and no numbers"),
        ("t.csv", "a,b\nx,y\n", &["--skip-text"], "refused", "no column of numbers"),
    ]);
}

#[test]
fn texts_of_all_kinds_are_tables() {
    let geo = "!Series_title\t\"A title, with commas\"\n!series_matrix_table_begin\n\"ID_REF\"\t\"GSM1\"\t\"GSM2\"\n\
               7892501\t1.5\t2\n7892502\t\t4\n!series_matrix_table_end\n";
    check(&[
        ("t.csv", "a;b\n1,5;2\n-3;1e3\n", &[], "float64 [2, 2] 1.5 2 -3 1000 cols: a|b", ""),
        (
            "t.csv",
            "a;b\n1,234;2\n",
            &[],
            "refused",
            "1,234 may be a number with a fraction or with thousands",
        ),
        ("t.csv", "a;b\n1,234;2\n", &["--decimal", ","], "float64 [1, 2] 1.234 2 cols: a|b", ""),
        ("t.txt", "  1.0   2.0\n -3.0  4.0 \n", &[], "float64 [2, 2] 1 2 -3 4", ""),
        ("t.txt", "1\t2\n3\t4\n", &[], "int64 [2, 2] 1 2 3 4", ""),
        (
            "t.txt",
            "\"a\" \"b\"\n\"x y\" 1 2\n\"z\" 3 4\n",
            &[],
            "int64 [2, 2] 1 2 3 4 rows: x y|z cols: a|b",
            "",
        ),
        (
            "t.txt",
            geo,
            &[],
            "float64 [2, 2] 1.5 2 NaN 4 rows: 7892501|7892502 cols: GSM1|GSM2",
            "3 lines are comments and left out",
        ),
        ("t.txt", "1 2\n3\n", &[], "refused", "line 2: expected 2 cells, as in line 1, found 1"),
        ("t.tsv", "1,5\t2\n3\t4\n", &[], "float64 [2, 2] 1.5 2 3 4", ""),
        ("t.csv", "1 2\n3 4\n", &[], "int64 [2, 2] 1 2 3 4", ""),
        ("t.txt", "1 2,5\n2 3,5\n", &[], "float64 [2, 2] 1 2.5 2 3.5", ""),
        (
            "t.txt",
            "\"x\" \"y\"\n\"1\" 1 2,5\n\"2\" 2 3,5\n",
            &[],
            "float64 [2, 2] 1 2.5 2 3.5 rows: 1|2 cols: x|y",
            "",
        ),
        ("t.csv", "1\t2,5\n2\t3,5\n", &[], "float64 [2, 2] 1 2.5 2 3.5", ""),
        ("t.csv", "A 1,5\nB 2,5\n", &[], "refused", "--delimiter comma, or --delimiter blanks --decimal ,"),
        ("t.csv", "A 1,5\nB 2,5\n", &["--delimiter", "comma"], "int64 [2] 5 5 rows: A 1|B 2", ""),
        (
            "t.csv",
            "a,b\n\"1,5\",2\n\"3,25\",4\n",
            &[],
            "float64 [2, 2] 1.5 2 3.25 4 cols: a|b",
            "commas in quotes stand before fractions (--decimal .",
        ),
        ("t.csv", ",a\nx,\"1,5\"\ny,\"2,0\"\n", &["--decimal", ","], "float64 [2] 1.5 2 rows: x|y", ""),
        (
            "t.csv",
            "a,b\n\"1,5\",2.5\n\"3,25\",4\n",
            &[],
            "refused",
            "line 2, column 1: expected a number, found \"1,5\" (--decimal ,",
        ),
        (
            "t.csv",
            "a,b\n\"1,234\",2\n",
            &[],
            "refused",
            "1,234 may be a number with a fraction or with thousands",
        ),
        ("t.csv", "1,5\n2,5\n", &["--decimal", ","], "float64 [2] 1.5 2.5", ""),
        ("t.csv", "1:2\n3:4\n", &["--delimiter", ":"], "int64 [2, 2] 1 2 3 4", ""),
        ("t.tsv", "a\tb\r\n1\t2\r\n", &[], "int64 [1, 2] 1 2 cols: a|b", ""),
        ("t.csv", "a,b\r1,2\r3,4\r", &[], "int64 [2, 2] 1 2 3 4 cols: a|b", ""),
        ("t.csv", "\u{FEFF}1,2\n3,4\n", &[], "int64 [2, 2] 1 2 3 4", ""),
        ("t.csv", "\u{FEFF}\"1\",2\n3,4\n", &["--header", "no"], "int64 [2, 2] 1 2 3 4", ""),
        ("t.txt", "\u{FEFF}1\n2\n", &[], "int64 [2] 1 2", ""),
        ("t.csv", "\u{FEFF}# x,y\n1,2\n", &[], "int64 [1, 2] 1 2 cols: x|y", ""),
        ("t.csv", "\u{FEFF}a,b\n1,2\n", &[], "int64 [1, 2] 1 2 cols: a|b", ""),
        (
            "t.csv",
            "a,b,\n1,2,\n3,4,\n",
            &[],
            "int64 [2, 2] 1 2 3 4 cols: a|b",
            "all lines end with an empty cell",
        ),
        ("t.csv", ",a\n\"two\nlines\",1\n", &[], "int64 [1] 1 rows: two lines", "1 had more than one line"),
        ("t.csv", "a,b\n\"x,1\n", &[], "refused", "line 2: a quote that does not end"),
        ("t.csv", "\u{FFFE}", &[], "refused", ""),
        ("t.csv", "", &[], "refused", "it is empty"),
        ("t.csv", "#1,2\n#3,4\n", &[], "refused", "--comment none"),
        ("t.csv", "#1,2\n#3,4\n", &["--comment", "none"], "int64 [2] 2 4 rows: #1|#3", ""),
    ]);
    let utf16: Vec<u8> = "\u{FEFF}a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let found = take("t.csv", &utf16, &[]);
    assert!(found.array == "refused" && found.said.contains("UTF-16"), "{}", found.said);
}

#[test]
fn no_row_and_no_column_is_left_out_without_a_word() {
    check(&[
        (
            "t.csv",
            "x\n1\n\n3\n",
            &[],
            "float64 [3] 1 NaN 3",
            "1 number is missing, and NaN now (the first: line 3, column 1)",
        ),
        ("t.csv", "x\n1\n\n", &[], "float64 [2] 1 NaN", "1 number is missing"),
        ("t.csv", "x\n1\n\"\"\n", &[], "float64 [2] 1 NaN", "1 number is missing"),
        (
            "t.csv",
            "a,b\n1,2\n\n3,4\n",
            &[],
            "int64 [2, 2] 1 2 3 4 cols: a|b",
            "1 line is empty and left out (the first: line 3)",
        ),
        (
            "t.csv",
            "1,2\n# 3,4\n5,6\n",
            &[],
            "int64 [2, 2] 1 2 5 6",
            "1 line is a comment and left out (the first: line 2)",
        ),
        ("t.txt", "1 2 3\n#3 4 5\n6 7 8\n", &[], "int64 [2, 3] 1 2 3 6 7 8", "1 line is a comment"),
        ("t.csv", "a,b\n1,2\n!3,4\n5,6\n", &[], "int64 [2, 2] 1 2 5 6 cols: a|b", "1 line is a comment"),
        ("t.csv", "1,2\n# 3,4\n", &[], "int64 [1, 2] 1 2", "1 line is a comment"),
        ("t.csv", ",x\n#1,5\n#2,6\n", &[], "int64 [2] 5 6 rows: #1|#2", ""),
        ("t.csv", "name,x\n#1,5\n#2,6\n", &[], "int64 [2] 5 6 rows: #1|#2", ""),
        (
            "t.csv",
            "name,x\na,5\n#1,6\n# end\n",
            &[],
            "int64 [2] 5 6 rows: a|#1",
            "1 line is a comment and left out (the first: line 4)",
        ),
        ("t.csv", "name,x\na,5\n#1,6\n", &["--comment", "#"], "int64 [1] 5 rows: a", "1 line is a comment"),
        (
            "t.csv",
            "n,x,type\na,1,u\nb,2,v\n",
            &[],
            "refused",
            "line 2, column 3: expected a number, found \"u\"",
        ),
        (
            "t.csv",
            "n,x,type\na,1,u\nb,2,v\n",
            &["--skip-text"],
            "int64 [2] 1 2 rows: a|b",
            "1 column of text is left out: \"type\" (line 2: \"u\")",
        ),
        (
            "t.csv",
            "x,y,type\n1,2,u\n3,4,v\n",
            &["--skip-text"],
            "int64 [2, 2] 1 2 3 4 cols: x|y",
            "\"type\" (line 2: \"u\")",
        ),
        ("t.csv", "1,2\n3\n", &[], "refused", "line 2: expected 2 cells"),
        ("t.csv", "1,2\n3,4\n5,6,7\n", &[], "refused", "line 3: expected 2 cells, found 3"),
        ("t.csv", "1,2\n3,4,\n", &[], "refused", "line 1: expected 3 cells, found 2"),
    ]);
    // What is beyond the lines by which a table is known.
    let mut text = String::from("chromosome,x\n");
    text.extend((0..3000).map(|i| format!("{i},1\n")));
    text.push_str("X,1\n");
    check(&[(
        "t.csv",
        &text,
        &[],
        "refused",
        "line 3002, column 1: expected a number, found \"X\" (--row-names yes",
    )]);
}

#[test]
fn no_number_changes_unless_that_is_asked_for() {
    check(&[
        (
            "t.csv",
            "id,v\n9007199254740993,0.5\n9007199254740992,1.5\n",
            &[],
            "refused",
            "line 2, column 1: 9007199254740993 would be 9007199254740992 in float64 (--lossy",
        ),
        (
            "t.csv",
            "id,v\n9007199254740993,0.5\n",
            &["--lossy"],
            "float64 [1, 2] 9007199254740992 0.5 cols: id|v",
            "",
        ),
        (
            "t.csv",
            "-1\n18446744073709551615\n",
            &[],
            "refused",
            "line 2, column 1: 18446744073709551615 would be",
        ),
        ("t.csv", "18446744073709551615\n0\n", &[], "uint64 [2] 18446744073709551615 0", ""),
        ("t.csv", "18446744073709551616\n0\n", &[], "float64 [2] 18446744073709552000 0", ""),
        ("t.csv", "18446744073709551617\n0\n", &[], "refused", "line 1, column 1"),
        (
            "t.csv",
            "9007199254740993e0,0.5\n",
            &[],
            "refused",
            "line 1, column 1: 9007199254740993e0 would be 9007199254740992 in float64 (--lossy",
        ),
        ("t.csv", "90071992547409930e-1,0.5\n", &[], "refused", "would be 9007199254740992 in float64"),
        ("t.csv", "1,1e400\n", &[], "refused", "line 1, column 2: 1e400 would be inf in float64"),
        ("t.csv", "1,1e-400\n", &[], "refused", "1e-400 would be 0 in float64"),
        (
            "t.csv",
            "1,1e40\n",
            &["--dtype", "float32"],
            "refused",
            "line 1, column 2: 1e40 would be inf in float32",
        ),
        ("t.csv", "1,1e40\n", &["--dtype", "float32", "--lossy"], "float32 [1, 2] 1 inf", ""),
        ("t.csv", "16777217\n", &["--dtype", "float32"], "refused", "16777217 would be 16777216 in float32"),
        ("t.csv", "2.0,1e+05\n", &["--dtype", "int32"], "int32 [1, 2] 2 100000", ""),
        (
            "t.csv",
            "2.5\n",
            &["--dtype", "int32"],
            "refused",
            "line 1, column 1: 2.5 is no integer, as int32 must be",
        ),
        ("t.csv", "2147483648\n", &["--dtype", "int32"], "refused", "2147483648 is beyond int32"),
        (
            "t.csv",
            "1\nNA\n",
            &["--dtype", "int64"],
            "refused",
            "line 2, column 1: there is no number (\"NA\"), and int64 has no NaN",
        ),
        ("t.csv", "1\nNA\n", &[], "float64 [2] 1 NaN", "1 number is missing"),
        (
            "t.csv",
            "1,?\n2,-999\n",
            &["--na", "?", "--na", "-999"],
            "float64 [2, 2] 1 NaN 2 NaN",
            "2 numbers are missing",
        ),
        ("t.csv", "inf,-Inf\nnan,N/A\n", &[], "float64 [2, 2] inf -inf NaN NaN", ""),
    ]);
}

#[test]
fn truth_stands_beside_numbers() {
    check(&[
        (
            "t.csv",
            "a,b\n1.5,True\n2,False\n",
            &[],
            "float64 [2, 2] 1.5 1 2 0 cols: a|b",
            "true and false are 1 and 0 now",
        ),
        ("t.csv", "a,b\n1,TRUE\n2,FALSE\n", &[], "int64 [2, 2] 1 1 2 0 cols: a|b", ""),
        ("t.csv", "a,b\ntrue,TRUE\nfalse,False\n", &[], "bool [2, 2] 1 1 0 0 cols: a|b", ""),
        ("t.csv", "a\ntrue\n\nfalse\n", &[], "float64 [3] 1 NaN 0", "1 number is missing"),
        (
            "t.csv",
            ",a\nx,true\ny,2\n",
            &[],
            "refused",
            "line 3, column 2: expected true or false, as in the lines before it, found \"2\"",
        ),
        (
            "t.csv",
            ",a\nx,2\ny,true\n",
            &[],
            "refused",
            "line 3, column 2: expected a number, as in the lines before it, found \"true\"",
        ),
        ("t.csv", "1,true\n", &["--dtype", "bool"], "bool [1, 2] 1 1", ""),
    ]);
}
