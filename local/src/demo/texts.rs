//! What the users of the demo write: a sentence with a place for a topic, in one of several languages.

use rand::seq::IndexedRandom as _;

/// Sentences and topics of one language.
struct Language {
    /// As in BCP 47.
    code: &'static str,
    /// `{}` stands for the topic.
    sentences: &'static [&'static str],
    topics: &'static [&'static str],
}

const LANGUAGES: [Language; 10] = [
    Language {
        code: "en",
        sentences: &[
            "Spent the whole morning on {}. Worth every minute.",
            "Does anybody have a good introduction to {}?",
            "Today I learned three things about {}, and forgot two of them.",
            "Unpopular opinion: {} gets better the longer you wait.",
            "Small steps, but {} is finally coming together. 🎉",
            "If you only read one thing about {} this week, read the footnotes.",
            "Rain outside, tea inside, and some time for {} ☔",
            "My neighbour asked me about {}. We talked for two hours.",
            "Ten years ago I would not have believed that I like {}.",
            "Question for everybody who knows {}: where did you begin?",
            "Wrote down what I know about {}. It fits on a postcard 🗒️",
            "Nobody told me that {} needs so much patience.",
            "Found an old notebook full of {} in the attic.",
            "Half past five, wide awake, thinking about {}.",
            "Good news from the {} club: we are five now!",
            "The best thing about {} is that nobody is ever finished.",
        ],
        topics: &[
            "#gardening",
            "#rust",
            "#sourdough",
            "#astronomy",
            "#cycling",
            "#jazz",
            "#maps",
            "#trains",
            "#birds",
            "#chess",
            "#pottery",
            "#typography",
        ],
    },
    Language {
        code: "de",
        sentences: &[
            "Heute den ganzen Tag mit {} verbracht. Schön war’s!",
            "Wer kennt ein gutes Buch über {}?",
            "Eigentlich wollte ich früh schlafen. Dann kam {} dazwischen.",
        ],
        topics: &["#radfahren", "#brotbacken", "#straßenbahn", "#musik"],
    },
    Language {
        code: "fr",
        sentences: &[
            "Un dimanche parfait : un café, du soleil et {}.",
            "Quelqu’un peut m’expliquer {} comme si j’avais cinq ans ?",
            "On ne parle pas assez de {}.",
        ],
        topics: &["#cinéma", "#randonnée", "#cuisine", "#photographie"],
    },
    Language {
        code: "es",
        sentences: &[
            "Hoy toca {}, ¿quién se apunta?",
            "Tres horas con {} y todavía no me canso.",
            "Lo mejor del fin de semana: {}.",
        ],
        topics: &["#fútbol", "#cocina", "#senderismo", "#música"],
    },
    Language {
        code: "ja",
        sentences: &[
            "今日は {} を始めました。楽しい！",
            "{} について、おすすめの本はありますか？",
            "朝の {} は気持ちがいい。",
        ],
        topics: &["#料理", "#写真", "#山登り", "#電車"],
    },
    Language {
        code: "ru",
        sentences: &[
            "Сегодня весь вечер только {}. Хорошо!",
            "Кто посоветует что-нибудь про {}?",
            "Шаг за шагом, и {} уже не кажется сложным.",
        ],
        topics: &["#музыка", "#астрономия", "#велосипед", "#кино"],
    },
    Language {
        code: "ar",
        sentences: &["قضيت الصباح مع {} وكان رائعًا.", "من ينصحني بكتاب عن {}؟", "اليوم تعلمت شيئًا جديدًا عن {}."],
        topics: &["#القهوة", "#السفر", "#التصوير", "#الموسيقى"],
    },
    Language {
        code: "hi",
        sentences: &["आज पूरा दिन {} में बीता। मज़ा आ गया!", "{} के बारे में कोई अच्छी किताब बताइए।"],
        topics: &["#संगीत", "#क्रिकेट", "#यात्रा", "#चाय"],
    },
    Language {
        code: "ko",
        sentences: &["오늘 하루는 {} 와 함께!", "{} 에 대해 잘 아시는 분 계신가요?"],
        topics: &["#한강", "#커피", "#등산", "#사진"],
    },
    Language {
        code: "zh",
        sentences: &["今天学了一点 {}，很有意思。", "有人一起 {} 吗？"],
        topics: &["#摄影", "#茶", "#骑行", "#天文"],
    },
];

const COMMENTS: [&str; 20] = [
    "Same here!",
    "Tell us more, please.",
    "I had no idea. Thank you!",
    "This made my day 😊",
    "Which part did you like best?",
    "Not sure that I agree, but well said.",
    "Saved for the weekend.",
    "Genau so ist es.",
    "Sehr schön!",
    "Tout à fait d’accord.",
    "Bravo !",
    "¡Qué bueno!",
    "Me apunto.",
    "いいですね！",
    "本当に？",
    "Согласна!",
    "رائع!",
    "बहुत बढ़िया!",
    "좋아요!",
    "说得好 👍",
];

/// How many of 10 texts of a user are in English.
const ENGLISH_OF_TEN: u32 = 3;

/// The text of a post, with a hashtag, in this language or in English.
pub(super) fn post(code: &str) -> String {
    let mut random = rand::rng();
    let code = if rand::random_ratio(ENGLISH_OF_TEN, 10) { "en" } else { code };
    let language = LANGUAGES.iter().find(|language| language.code == code);
    let chosen = language
        .and_then(|language| Some((language.sentences.choose(&mut random)?, language.topics.choose(&mut random)?)));
    chosen.map_or_else(String::new, |(sentence, topic)| sentence.replace("{}", topic))
}

/// The text of a comment.
pub(super) fn comment() -> String {
    COMMENTS.choose(&mut rand::rng()).copied().unwrap_or_default().to_owned()
}
