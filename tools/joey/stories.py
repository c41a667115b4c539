"""The grammar of joey's stories: small animals, one trouble, its cause, and what mended it."""

import re

from grammar import Grammar

# Whoever may stand in two places of a sentence comes from two tables: heroes and friends, homes and places, two hobbies.
# Then a name says its part, and a model need not learn that two words must differ.
HEROES = ("Pip Milo Finn Otto Bram Toby Jasper Ned Rufus Hugo Basil Leo",
          "Tilly Nell Poppy Hazel Ivy Fern Daisy Willa Mabel Luna Cleo Nora")
FRIENDS = ("Percy Wim Arlo Felix Gus Monty Oscar Rollo Sam Alfie Barney Theo",
           "Dora Edie Flora Greta Hattie Juno Lottie Olive Tess Maud Ruby Stella")


def people(names):
    """names: of those called he, of those called she -> rows with the pronouns that go with a name"""
    return [{"name": name, "he": he, "He": he.capitalize(), "his": his, "His": his.capitalize(), "him": him}
            for group, he, his, him in ((names[0], "he", "his", "him"), (names[1], "she", "her", "her"))
            for name in group.split()]


# The article belongs to the word that follows it.
def with_article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word

KINDS = [{"noun": noun, "a": with_article(noun)} for noun in (
    "fox hare hedgehog mouse badger otter squirrel mole frog toad duck owl robin beaver bear deer crow goose rabbit "
    "lamb goat cat pony wallaby wombat possum koala puppy hen turtle").split()]

THINGS = [{"noun": noun} for noun in (
    "kite basket lantern drum bell scarf boat ball book hat whistle spoon cup blanket key map").split()]

LOOKS = "red blue green yellow white silver golden striped tiny shiny old new wooden round soft little".split()


PLACES = ["the " + place for place in (
    "silver river,windy hill,blue lake,stone bridge,sunny meadow,quiet marsh,long beach,deep valley,wheat field,"
    "little pond,market square,sandy bay,round tower,dark wood,high cliff,green island").split(",")]
NEAR_HOME = ["the " + place for place in (
    "old mill,apple orchard,mossy wall,pine forest,tall oak,rose garden,red farm,fern grove,duck pond,village green,"
    "bramble lane,clover field").split(",")]


TABLES = {
    "heroes": people(HEROES),
    "friends": people(FRIENDS),
    "kinds": KINDS,
    "other_kinds": KINDS,
    "things": THINGS,
    "near_home": [{"the": place} for place in NEAR_HOME],
    "places": [{"the": place} for place in PLACES],
    "nearby": PLACES,
    "looks": [with_article(look) for look in LOOKS],
    "plain_looks": LOOKS,
    "traits": [{"a": with_article(trait)} for trait in (
        "curious brave shy cheerful clever gentle sleepy busy kind quiet merry patient stubborn tidy").split()],
    "furs": "brown grey white black spotted fluffy small round young plump".split(),
    "homes": "cottage,burrow,hollow log,hut,little house,barn,tree house,cave,den,cabin".split(","),
    "cosy": "cosy warm tiny crooked dry sunny snug tidy".split(),
    "hobbies": "singing,dancing,painting,fishing,climbing,reading,swimming,whistling,drumming,skating".split(","),
    "more_hobbies": "baking bread,counting stars,picking flowers,telling jokes,jumping over puddles,growing beans,"
                    "chasing clouds,drawing maps,flying kites,skipping stones".split(","),
    "dayparts": "morning afternoon evening day".split(),
    "moves": "walked ran hopped skipped strolled wandered hurried marched".split(),
    "numbers": "three four five six seven eight nine ten".split(),
    "thought": "thought dreamed wondered sang".split(),
    "feelings": "happy glad proud merry content cheerful".split(),
    "bodies": "tired hungry muddy wet breathless sleepy thirsty dusty".split(),
    "suddenly": "Suddenly,All at once,A little later,Just then,Before long,At the next bend".split(","),
    "cried": "cried asked sighed whispered".split(),
    "moaned": "cried called sighed wailed".split(),
    "said": "said called laughed".split(),
    "foods": "apple pie,berry cake,plum jam,nut cookies,warm milk,pear juice,cherry tart,cold cream".split(","),
    "dishes": "honey bread,carrot soup,mushroom stew,oat porridge,corn cakes,pea soup,onion pie,fried eggs".split(","),
    # A weather takes something away in its own manner.
    "weathers": [
        {"adj": "windy", "took": "The wind had blown it away.", "where": "high in a tree", "got": "shook the branch"},
        {"adj": "rainy", "took": "The rain had washed it away.", "where": "in a deep puddle", "got": "used a long stick"},
        {"adj": "snowy", "took": "The snow had covered it.", "where": "under the snow", "got": "dug with both paws"},
        {"adj": "foggy", "took": "It had dropped in the fog.", "where": "beside the path", "got": "lit a small lamp"},
        {"adj": "sunny", "took": "A magpie had seen it shine.", "where": "in a nest", "got": "traded a shell for it"},
        {"adj": "stormy", "took": "The storm had carried it off.", "where": "on a roof", "got": "climbed a ladder"},
    ],
    "searches": "under leaves,behind rocks,between roots,inside logs,below bushes,among reeds".split(","),
    "more_searches": "around corners,over hedges,near fences,along paths,beside walls,on roofs".split(","),
    "purposes": "look for shells,watch the birds,pick berries,gather nuts,meet a cousin,see the boats,hear the bells,"
                "find some shade,collect feathers,buy some bread,bring a letter,sail a paper boat".split(","),
    # A pit has the tool that helps out of it.
    "pits": [
        {"a": "a deep hole", "tool": "rope", "use": "tied it to a tree"},
        {"a": "a muddy ditch", "tool": "plank", "use": "laid it across the mud"},
        {"a": "a cold stream", "tool": "branch", "use": "held it out over the water"},
        {"a": "an empty well", "tool": "ladder", "use": "lowered it to the bottom"},
        {"a": "a thorny bush", "tool": "pair of shears", "use": "cut the thorns one by one"},
        {"a": "a farmer's net", "tool": "sharp stone", "use": "sawed through every knot"},
    ],
    "slips": "slipped on a wet stone,ran too fast,did not look down,followed a butterfly,chased a leaf,"
             "jumped too far".split(","),
    # A noise in the night has a harmless maker.
    "noises": [
        {"a": "a loud snore", "maker": "a bear on his back"},
        {"a": "a soft whistle", "maker": "the wind in a hollow reed"},
        {"a": "a slow drip", "maker": "rain in an old bucket"},
        {"a": "a quick tapping", "maker": "a woodpecker at work"},
        {"a": "a deep rumble", "maker": "a cart on the bridge"},
        {"a": "a long howl", "maker": "a puppy all alone"},
        {"a": "a strange hum", "maker": "a hive full of bees"},
        {"a": "a tiny squeak", "maker": "a mouse with a cold"},
    ],
    "nights": "dark cold still moonless windy misty starry warm".split(),
    "steps": "slowly,very quietly,on tiptoe,step by step,holding hands,with a lamp,with big eyes,side by side".split(","),
    # A wish, what is built for it, what of, what goes wrong and what puts it right.
    "works": [
        {"wish": "cross the river", "built": "raft", "of": "logs", "broke": "The knots came loose.",
         "fixed": "tied every knot twice", "did": "floated to the other side"},
        {"wish": "fly a message home", "built": "kite", "of": "paper", "broke": "The paper tore in the wind.",
         "fixed": "glued cloth over the tear", "did": "flew it above the trees"},
        {"wish": "sleep up in the oak", "built": "tree house", "of": "planks", "broke": "The floor began to shake.",
         "fixed": "added four strong posts", "did": "slept among the leaves"},
        {"wish": "carry all the apples home", "built": "cart", "of": "old boxes", "broke": "A wheel fell off.",
         "fixed": "carved a stronger wheel", "did": "rolled the apples home"},
        {"wish": "keep the garden dry", "built": "wall", "of": "stones", "broke": "The water came under it.",
         "fixed": "filled the gaps with clay", "did": "kept every flower dry"},
        {"wish": "see the far hills", "built": "tower", "of": "crates", "broke": "The tower leaned to one side.",
         "fixed": "made the bottom wider", "did": "saw the hills turn pink"},
        {"wish": "light the dark path", "built": "lamp", "of": "glass", "broke": "The flame went out.",
         "fixed": "put a lid on top", "did": "lit the path all night"},
        {"wish": "cook for all the neighbours", "built": "stove", "of": "clay", "broke": "A long crack opened.",
         "fixed": "baked the clay once more", "did": "cooked a great supper"},
    ],
    # Crops fail for a reason, and the reason names the cure.
    "crops": [
        {"why": "It had not rained for weeks.", "so": "were dry", "cure": "carried water from the stream"},
        {"why": "The nights had been very cold.", "so": "were frozen", "cure": "covered the beds with straw"},
        {"why": "Weeds had grown everywhere.", "so": "had no room", "cure": "pulled out weeds until dark"},
        {"why": "Hungry snails had come.", "so": "were full of holes", "cure": "carried the snails away"},
        {"why": "The soil was hard and poor.", "so": "were small", "cure": "dug in some good compost"},
        {"why": "A fence had fallen down.", "so": "were trampled", "cure": "put the fence back up"},
    ],
    "plants": "beans carrots pumpkins peas turnips radishes".split(),
    "more_plants": "tomatoes cabbages potatoes onions leeks beets".split(),
    # A storm breaks a part of the house, and something mends it.
    "damages": [
        {"part": "roof", "broke": "tore a hole in the roof", "so": "Rain dripped on the bed.", "with": "new straw"},
        {"part": "door", "broke": "blew the door off", "so": "Cold air filled the room.", "with": "two iron hinges"},
        {"part": "window", "broke": "broke the window", "so": "Leaves flew all around.", "with": "a sheet of glass"},
        {"part": "chimney", "broke": "knocked over the chimney", "so": "The room was full of smoke.", "with": "red bricks"},
        {"part": "wall", "broke": "cracked the wall", "so": "The wind blew right through.", "with": "mud and stones"},
        {"part": "floor", "broke": "flooded the floor", "so": "The chairs began to float.", "with": "dry planks"},
    ],
    "races": "race,boat race,sack race,egg race,swimming race,sledge race".split(","),
    # Somebody by the way needs help, and thanks for it.
    "needs": [
        {"who": "a snail", "is": "upside down", "help": "turned the snail over"},
        {"who": "an ant", "is": "lost", "help": "showed the ant the way"},
        {"who": "a bee", "is": "wet and cold", "help": "dried the bee with a leaf"},
        {"who": "a duckling", "is": "alone", "help": "took the duckling to its mother"},
        {"who": "a beetle", "is": "stuck in sap", "help": "pulled the beetle free"},
        {"who": "a sparrow", "is": "very thirsty", "help": "gave the sparrow some water"},
    ],
    "prizes": "a golden cup,a crown of daisies,a jar of honey,a silver bell,a big round cheese,a basket of pears,"
              "a blue ribbon,a new hat".split(","),
    # A gift is made from what is at hand.
    "gifts": [
        {"a": "a necklace", "from": "shells", "how": "put them on a string"},
        {"a": "a flute", "from": "a reed", "how": "cut seven small holes"},
        {"a": "a pillow", "from": "feathers", "how": "sewed them into a bag"},
        {"a": "a crown", "from": "flowers", "how": "wove them into a ring"},
        {"a": "a bowl", "from": "clay", "how": "shaped it and let it dry"},
        {"a": "a little boat", "from": "bark", "how": "added a leaf for a sail"},
        {"a": "a candle", "from": "wax", "how": "poured it around a thread"},
        {"a": "a bookmark", "from": "ribbon", "how": "painted stars along it"},
    ],
}

PLOTS = ("lost", "stuck", "noise", "building", "garden", "storm", "race", "gift")

VARIABLES = {
    "hero": "heroes", "friend": "friends", "kind": "kinds", "other": "other_kinds", "trait": "traits",
    "place": "places", "home": "near_home", "thing": "things",
    "weather": "weathers", "pit": "pits", "noise": "noises", "work": "works", "crop": "crops", "damage": "damages",
    "need": "needs", "gift": "gifts",
}

# What is longer than eight words must have choices enough that it is hardly ever said twice.
RULES = {
    "story": [f"{{@opening}} {{@friend}}\n\n{{@{plot}}}\n\n{{@end_of_{plot}}}" for plot in PLOTS],
    "opening": [
        "{@once} {trait.a} {=furs} {kind.noun} named {hero.name} lived in a {=cosy} {=homes} near {home.the}. {@loves}",
    ],
    "once": ["Once upon a time,", "Once upon a time,", "Once upon a time,", "Long ago,", "One year,", "Not so long ago,"],
    "loves": [
        "{hero.He} loved {=hobbies}.",
        "{hero.He} loved {=hobbies} and {=more_hobbies}.",
        "Every day {hero.he} dreamed of {=hobbies}.",
        "{hero.He} was very good at {=hobbies}.",
    ],
    "friend": [
        "{hero.His} best friend was {friend.name} the {other.noun}.",
        "Next door lived {other.a} named {friend.name}.",
        "{friend.name} the {other.noun} often came to play.",
    ],
    "lost": [
        "One {weather.adj} {=dayparts}, {hero.name} {=moves} to {place.the} with {=looks} {thing.noun} to {=purposes}. "
        "{=suddenly} the {thing.noun} was gone. {weather.took} {@where} {@searched} {@came} "
        "\"We will find it together,\" {=said} {friend.name}. "
        "Soon {friend.name} saw the {thing.noun} {weather.where} near {=nearby}. "
        "{hero.name} {weather.got}. {@thing_back}",
    ],
    "where": ["\"Where is my {thing.noun}?\" {=cried} {hero.name}.", "\"Oh no, my {thing.noun}!\" {=moaned} {hero.name}."],
    "searched": [
        "{hero.He} looked {=searches} and {=more_searches}.",
        "{hero.He} searched {=searches} for a long time.",
    ],
    "came": ["Then {friend.name} came along.", "{friend.name} heard it and came at once.", "Luckily {friend.name} was not far."],
    "thing_back": [
        "There was the {thing.noun} again!",
        "{hero.name} hugged the {thing.noun} and then {friend.name}.",
    ],

    "stuck": [
        "One {=dayparts}, {friend.name} {=moves} to {place.the} to {=purposes} and {=slips}. "
        "{friend.He} fell into {pit.a}. {@help} "
        "Far away, {hero.name} heard it and ran. "
        "\"I have a plan,\" {=said} {hero.name}. "
        "{@tool} {friend.name} was free, and not even hurt.",
    ],
    "help": ["\"Help, I am stuck!\" {=moaned} {friend.name}.", "\"Is anybody there?\" {=cried} {friend.name}."],
    "tool": [
        "{hero.He} fetched a {pit.tool}. Then {hero.he} {pit.use}.",
        "There was a {pit.tool} at home. {hero.name} {pit.use}.",
    ],

    "noise": [
        "One {=nights} night, {hero.name} and {friend.name} heard {noise.a} from {place.the}, and {@afraid}. "
        "\"What can that be?\" {=cried} {friend.name}. {@brave} "
        "They went there {=steps}. It was {noise.maker}! {@laughed}",
    ],
    "afraid": [
        "{@either} could not finish the {=dishes}",
        "{@either} hid under the {=plain_looks} blanket",
        "{@either} dropped the {=plain_looks} lamp",
        "{@either} forgot all about the {=foods}",
    ],
    "either": ["{hero.name}", "{friend.name}"],
    "brave": [
        "\"We must look,\" {=said} {hero.name}.",
        "\"Let us go and see,\" {=said} {hero.name}.",
    ],
    "laughed": ["How they laughed!", "They laughed until it was light.", "\"So that was it!\" {=said} {friend.name}."],

    "building": [
        "{hero.name} wanted to {work.wish}. \"Let us build a {work.built},\" {=said} {hero.name}. "
        "All {=dayparts} long, {hero.name} and {friend.name} carried {work.of} from {place.the} and ate {=dishes}. "
        "But the {work.built} was no good. {work.broke} {@again} "
        "So they {work.fixed}. {@worked} They {work.did}.",
    ],
    "again": [
        "\"We can do better,\" {=said} {friend.name}.",
        "\"Let us try again,\" {=said} {friend.name}.",
        "{hero.name} gave up, but {friend.name} did not.",
    ],
    "worked": ["This time it worked.", "Now it was just right.", "The second {work.built} was a fine one."],

    "garden": [
        "That year, {hero.name} and {friend.name} grew {=plants} and {=more_plants} in a {=cosy} garden by {place.the}. "
        "But something was wrong. {crop.why} The plants {crop.so}. {@sad} "
        "So they {crop.cure}. It was hard work. {@harvest}",
    ],
    "sad": [
        "\"We will have nothing to eat,\" {=moaned} {hero.name}.",
        "\"Our poor plants!\" {=moaned} {hero.name}.",
    ],
    "harvest": [
        "In autumn {hero.name} filled {=numbers} baskets, and {friend.name} made {=dishes} and {=foods}.",
        "In autumn {friend.name} filled {=numbers} baskets, and {hero.name} made {=dishes} and {=foods}.",
    ],

    "storm": [
        "One {=dayparts}, while {hero.name} was {=hobbies}, a storm came over {place.the} and {damage.broke}. "
        "{damage.so} {@shelter} "
        "That night they ate {=dishes}. "
        "In the sunny morning, {friend.name} brought {damage.with} and {=foods}, and {hero.name} fetched {=looks} {thing.noun}. "
        "Together they mended the {damage.part}.",
    ],
    "shelter": [
        "\"Come and stay with me,\" {=said} {friend.name}.",
        "\"My house has room for two,\" {=said} {friend.name}.",
    ],

    "race": [
        "One {=dayparts}, {hero.name} and {friend.name} joined the great {=races} from {home.the} to {place.the}. "
        "The winner would get {=prizes}. {hero.name} was in front. "
        "{=suddenly} {hero.he} saw {need.who}. It was {need.is}. "
        "{hero.name} {need.help}. So {friend.name} won. {@shared}",
    ],
    "shared": [
        "\"You are the real winner,\" {=said} {friend.name}. They shared the prize.",
        "{friend.name} had seen it all. {friend.He} gave the prize to {hero.name}.",
    ],

    "gift": [
        "It was the birthday of {friend.name}. {hero.name} had no money for a gift. "
        "So {hero.he} {=moves} to {place.the} one {=dayparts}, past {home.the}, and {=thought} about {=hobbies} and {friend.name}. "
        "There {hero.he} found {gift.from}. {hero.He} {gift.how}. {@surprise} "
        "It was {gift.a}! \"{@best}\" {=said} {friend.name}.",
    ],
    "surprise": ["That evening {hero.he} knocked at the door.", "{friend.name} opened the box and smiled."],
    "best": ["It is the best gift,", "You made this for me,", "I will keep it for ever,"],

    "home": [
        "They went home, {=bodies} and {=feelings}.",
        "Then {hero.name} and {friend.name} shared some {=foods}.",
        "That night {hero.name} slept well.",
        "And {friend.name} stayed for supper.",
    ],
    "friends": ["From that day on, they shared everything.", "And they are friends to this day."],
}

# What a story teaches belongs to its plot. Each lesson has at most four words.
LESSONS = {
    "lost": "four eyes see more,friends make good finders,nothing stays lost",
    "stuck": "a plan helps,friends come running,one should look down",
    "noise": "most noises are small,looking beats hiding,fear needs a light",
    "building": "trying again helps,mistakes teach best,patience pays",
    "garden": "hard work feeds friends,small steps add up,gardens need care",
    "storm": "friends are shelter,storms always end,two mend faster",
    "race": "kindness is winning,helping beats winning,some prizes are shared",
    "gift": "small gifts are big,love costs nothing,hands make good gifts",
}
for plot, lessons in LESSONS.items():
    TABLES["lessons_" + plot] = lessons.split(",")
    RULES["lesson_" + plot] = [
        "{hero.name} had learned that {=lessons}.".replace("=lessons", "=lessons_" + plot),
        "{hero.name} never forgot that {=lessons}.".replace("=lessons", "=lessons_" + plot),
        "{@friends}",
    ]
    RULES["end_of_" + plot] = ["{@home} {@lesson_X}".replace("X", plot), "{@lesson_X} {@home}".replace("X", plot)]


GRAMMAR = Grammar(RULES, TABLES, VARIABLES)


SENTENCE_END = re.compile(r"[.!?]\"?(?=\s+[\"A-Z]|\s*$)")


def sentences(text):
    """The sentences of a text; speech and who speaks it are one sentence."""
    start, found = 0, []
    for end in SENTENCE_END.finditer(text):
        found.append(" ".join(text[start:end.end()].split()))
        start = end.end()
    return found


def long_sentences(text):
    return [sentence for sentence in sentences(text) if len(sentence.split()) > 8]
