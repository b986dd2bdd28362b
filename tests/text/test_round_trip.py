"""Real lines of many scripts come back from every tokenizer, and words keep their marks."""

import unicodedata

import pytest

from multigan.text.tokenization.tokenizer import TOKENIZERS, TextTokenizer, train_tokenizer
from multigan.text.tokenization.words import ASCII_WORD, _splitter, split_words, unspaced_fraction

LINES = {
    "tweets": "so tired... #monday #TGIF2024 @ann_k (@bob-by): \"why?!\" 100% of $5 & C# e@x.org",
    "emoji": "love it 😍😍 👍🏽 ❤️‍🔥 1️⃣ 🤷🏻‍♀️ 👨‍👩‍👧‍👦 🏳️‍🌈 🇯🇵🇫🇷 🏴󠁧󠁢󠁥󠁮󠁧󠁿!",
    "French": "« Qu’est-ce que c’est ? » dit-il ; l’œuvre coûte 12,50 € — déjà.",
    "German": "„Größe“ heißt: 3 × 4½ m², z. B. Straßenbahn-Haltestelle …",
    "Vietnamese, composed": "Tiếng Việt có nhiều dấu: phở, bún chả, cà phê sữa đá.",
    "Vietnamese, decomposed": unicodedata.normalize("NFD", "Tiếng Việt: phở, bún chả."),
    "Turkish": "İstanbul’da ığdır, IŞIK; çok güzel!",
    "Greek": "Τι κάνεις; «Καλά», είπε ὁ Σωκράτης·",
    "Russian": "— Ёлки-палки, — сказал он. «Что?!» №5",
    "Hebrew": "שָׁלוֹם עֲלֵיכֶם, מה שלומך? צה״ל ת״א",
    "Arabic": "السَّلامُ عَلَيْكُمْ، كيف حالك؟ ١٢٣٫٥ ٪",
    "Persian": "می‌خواهم کتاب‌ها را بخوانم؛ چرا؟",
    "Hindi": "नमस्ते दुनिया। क्या हाल है? क्‍ष, ज्ञान, हूँ॥",
    "Bengali": "আমি বাংলায় গান গাই। কেমন আছেন?",
    "Tamil": "வணக்கம், எப்படி இருக்கிறீர்கள்? ஸ்ரீ",
    "Thai": "สวัสดีครับ วันนี้อากาศดีมากๆ น้ำ ๑๒๓ ฯลฯ",
    "Burmese": "မင်္ဂလာပါ။ နေကောင်းလား၊",
    "Khmer": "សួស្តី​ពិភពលោក។ ខ្ញុំ",
    "Tibetan": "བཀྲ་ཤིས་བདེ་ལེགས།",
    "Chinese": "你好,世界!“今天”——天气很好。《红楼梦》(上)",
    "Japanese": "こんにちは、世界!「ありがとう」とガギグと言った…ヶ月",
    "Korean, composed": "안녕하세요, 세계! 오늘은 ‘날씨’가 좋네요.",
    "Korean, jamo": unicodedata.normalize("NFD", "안녕하세요, 세계!"),
    "Georgian": "გამარჯობა, მსოფლიო! „კარგი“",
    "Armenian": "Բարեւ, աշխարհ։ Ինչպե՞ս ես։",
    "Amharic": "ሰላም ዓለም፤ እንዴት ነህ?",
    "spaces": "two  spaces, a\u00a0hard one , a\u3000wide one\tand a tab .Point",
    "marks": "Z̸̢͑a̷͝l̵͠g̴̛o! e\u0301\u0323 a\u20dd \u0301lone",
    "control": "zero\u200bwidth \u200e\u200fmarks\u2060 \ufeffbom soft\u00adhyphen",
    "old": "𐎀𐎁 𓀀𓀁 𝔉𝔯𝔞𝔨𝔱𝔲𝔯 𠀀𠮷",
}  # fmt: skip
NORMALIZED = {"whitespace": lambda line: " ".join(line.split())}  # runs of white space: one space


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_lines_of_every_script_come_back(kind, lowercase):
    lines = list(LINES.values())
    tokenizer = TextTokenizer(train_tokenizer(lines, kind, 2000, lowercase))
    expected = [NORMALIZED.get(kind, str)(line) for line in lines]
    if lowercase:  # as the library has it: İ becomes i and a dot
        lower = tokenizer._tokenizer.normalizer.normalize_str
        expected = [lower(line)[1:] if kind == "word" else lower(line) for line in expected]
        assert expected[0] == lines[0].lower()
    found = [tokenizer.decode(ids) for ids in tokenizer.encode(lines)]
    wrong = [name for name, a, b in zip(LINES, found, expected, strict=True) if a != b]
    assert not wrong


@pytest.mark.parametrize("script", LINES)
def test_words_hold_whole_clusters_and_all_of_the_text(script):
    line = LINES[script]
    words = split_words(line)
    assert "".join(words) == "".join(line.split())
    cut = [word for word in words[1:] if unicodedata.category(word[0]) in ("Mn", "Mc", "Me")]
    assert cut in ([], ["\u0301lone"])  # a mark at the beginning of a word has nothing to stand on


@pytest.mark.parametrize("script", LINES)
def test_a_word_is_one_token_or_more(script):
    """With the word tokenizer nll_word is then at least nll_token."""
    tokenizer = TextTokenizer(train_tokenizer(list(LINES.values()), "word", 2000))
    (ids,) = tokenizer.encode([LINES[script]])
    assert len(ids) >= len(split_words(LINES[script]))


def test_tags_names_emoji_and_flags_are_single_words():
    emoji = ["👨\u200d👩\u200d👧\u200d👦", "🇯🇵", "🇫🇷", "👍🏽", "❤\ufe0f", "1\ufe0f\u20e3"]
    words = ["#monday", "@ann_k", *emoji, "a", "@", "be\u0301"]
    assert split_words(f"#monday @ann_k {' '.join(emoji)} a@be\u0301") == words
    assert split_words("🇯🇵🇫🇷❤\ufe0f") == ["🇯🇵", "🇫🇷", "❤\ufe0f"]


def test_byte_pairs_may_hold_vowel_signs():
    """Before, a piece ended at every vowel sign: no vocabulary was large enough for a word."""
    tokenizer = TextTokenizer(train_tokenizer([LINES["Hindi"]] * 20, "bpe", 1000))
    assert len(tokenizer.encode(["नमस्ते दुनिया"])[0]) == 2


def test_the_two_patterns_of_words_agree_on_ascii():
    lines = ["don't #tag @me a#b x@y.z well-known 'quoted' -- _under_ 3.5% C# (a) #, @ ## @@a #-b"]
    lines += ["".join(map(chr, range(32, 127))), "a-'b a--b a'-b -a b-"]
    for line in lines:
        assert ASCII_WORD.findall(line) == [w for w, _ in _splitter().pre_tokenize_str(line)]


def test_scripts_without_spaces_are_recognized():
    for script in ("Thai", "Burmese", "Khmer", "Tibetan", "Chinese", "Japanese"):
        assert unspaced_fraction([LINES[script]]) > 0.5
    for script in ("Hindi", "Korean, composed", "Arabic", "Russian", "emoji", "tweets"):
        assert unspaced_fraction([LINES[script]]) < 0.01
