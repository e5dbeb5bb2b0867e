//! Who follows whom: the most-followed users of a real graph, or a generated graph of the same shape.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use rand::{Rng, distr::weighted::WeightedIndex, rngs::StdRng, seq::SliceRandom};

/// The mean number of followed users in a generated graph, unless the graph is too small.
const MEAN_FOLLOWED: usize = 65;

/// The exponent of the power law by rank. It was fitted to the 2 000 most-followed users of a trust network (SNAP
/// soc-Epinions1). There the first user has 18 times the followers of the median, the 20th has 8 times, and the 200th 3
/// times.
const EXPONENT: f64 = 0.5;

/// Users 0 to `users` − 1, and who follows whom.
#[derive(Debug, PartialEq, Eq)]
pub struct Graph {
    /// The number of users.
    pub users: usize,
    /// Pairs of follower and followee. Each pair occurs once, and nobody follows themselves.
    pub edges: Vec<(usize, usize)>,
}

/// Opens a text file, and decompresses it if its name ends in `.gz`.
pub fn open_lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let reader: Box<dyn BufRead> = match path.extension() {
        Some(extension) if extension == "gz" => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        _ => Box::new(BufReader::new(file)),
    };
    Ok(reader.lines())
}

/// The `users` most-followed users of a file with lines `follower<TAB>followee` (`#` starts a comment), and all edges
/// among them. Users are numbered by rank. Users with equally many followers are in the order of their names.
pub fn most_followed(path: &Path, users: usize) -> Result<Graph> {
    let mut edges = Vec::new();
    for (number, line) in open_lines(path)?.enumerate() {
        let line = line.with_context(|| format!("reading {}", path.display()))?;
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let Some((follower, followee)) = line.split_once('\t') else {
            bail!("{}:{}: not `follower<TAB>followee`", path.display(), number + 1);
        };
        edges.push((follower.trim().to_owned(), followee.trim().to_owned()));
    }
    let graph = top(&edges, users);
    ensure!(graph.users == users, "{} has only {} followed users", path.display(), graph.users);
    Ok(graph)
}

fn top(edges: &[(String, String)], users: usize) -> Graph {
    let mut followers: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, followee) in edges {
        *followers.entry(followee).or_default() += 1;
    }
    let mut ranking: Vec<_> = followers.into_iter().collect();
    ranking.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    ranking.truncate(users);
    let rank: BTreeMap<&str, usize> = ranking.iter().enumerate().map(|(rank, &(name, _))| (name, rank)).collect();
    let among = edges.iter().filter_map(|(a, b)| Some((*rank.get(a.as_str())?, *rank.get(b.as_str())?)));
    let distinct: BTreeSet<_> = among.filter(|(a, b)| a != b).collect();
    Graph { users: ranking.len(), edges: distinct.into_iter().collect() }
}

/// A graph in which the numbers of followers and of followed users follow the same power law, independently of each
/// other.
pub fn generate(users: usize, random: &mut StdRng) -> Result<Graph> {
    ensure!(users >= 2, "a graph needs at least two users");
    let popular = WeightedIndex::new(power_law(users))?;
    let mut active = power_law(users);
    active.shuffle(random);
    let active = WeightedIndex::new(active)?;
    let wanted = users * MEAN_FOLLOWED.min((users - 1).div_ceil(4));
    let mut edges = Vec::with_capacity(wanted);
    let mut known = HashSet::with_capacity(wanted);
    while edges.len() < wanted {
        let (follower, followee) = (random.sample(&active), random.sample(&popular));
        if follower != followee && known.insert((follower, followee)) {
            edges.push((follower, followee));
        }
    }
    Ok(Graph { users, edges })
}

/// Weights by rank.
#[expect(clippy::cast_precision_loss, reason = "ranks are far below 2^52")]
pub(crate) fn power_law(count: usize) -> Vec<f64> {
    (1..=count).map(|rank| (rank as f64).powf(-EXPONENT)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use rand::SeedableRng;

    use super::*;

    const LINES: &str = "# follower\tfollowee\n9\t1\n8\t1\n1\t2\n2\t1\n9\t2\n9\t3\n2\t2\n1\t2\n";

    #[test]
    fn the_most_followed_are_chosen_with_the_edges_among_them() {
        let directory = tempfile::tempdir().unwrap();
        let (plain, packed) = (directory.path().join("f.tsv"), directory.path().join("f.tsv.gz"));
        std::fs::write(&plain, LINES).unwrap();
        let mut encoder = GzEncoder::new(File::create(&packed).unwrap(), Compression::fast());
        encoder.write_all(LINES.as_bytes()).unwrap();
        encoder.finish().unwrap();
        // 2 has four followers and 1 has three. 3 is not among the first two. Nobody follows 8 and 9.
        let expected = Graph { users: 2, edges: vec![(0, 1), (1, 0)] };
        assert_eq!(most_followed(&plain, 2).unwrap(), expected);
        assert_eq!(most_followed(&packed, 2).unwrap(), expected);
        assert!(most_followed(&plain, 4).unwrap_err().to_string().contains("only 3"));
    }

    #[test]
    fn a_generated_graph_has_the_shape_of_the_real_one_and_comes_from_its_seed() {
        let graph = generate(2000, &mut StdRng::seed_from_u64(7)).unwrap();
        let mut followers = vec![0; 2000];
        for &(follower, followee) in &graph.edges {
            assert_ne!(follower, followee);
            followers[followee] += 1;
        }
        followers.sort_unstable_by(|a, b| b.cmp(a));
        // The real graph: 129 277 edges, 773 followers at most, 325 for the 20th user, 42 for the median.
        assert_eq!(graph.edges.len(), 130_000);
        assert!((500..1999).contains(&followers[0]), "{}", followers[0]);
        assert!((160..650).contains(&followers[20]), "{}", followers[20]);
        assert!((25..70).contains(&followers[1000]), "{}", followers[1000]);
        assert_eq!(graph, generate(2000, &mut StdRng::seed_from_u64(7)).unwrap());
        assert_ne!(graph, generate(2000, &mut StdRng::seed_from_u64(8)).unwrap());
    }

    #[test]
    fn small_graphs_can_be_generated_too() {
        for users in 2..40 {
            let graph = generate(users, &mut StdRng::seed_from_u64(1)).unwrap();
            assert_eq!(graph.edges.len(), users * (users - 1).div_ceil(4));
        }
        assert!(generate(1, &mut StdRng::seed_from_u64(1)).is_err());
    }
}
