"""The question-answer part of joey's corpus: what may be asked, what is true, and what is held out.

`training(random)` yields question-answer pairs without end; `held_out()` is the fixed examination of 100 pairs.
No held-out phrasing is ever a training phrasing, but its content words occur in the training phrasings of its topic:
a model trained on this text alone knows no other synonyms.

    python3 questions.py            check everything, print counts and the hash of the examination
    python3 questions.py --write    the same, and write the hash to held_out.sha256
"""

import hashlib
import itertools
import json
import math
import pathlib
import random as random_module
import re
import sys
from collections import Counter
from typing import NamedTuple

# ---------------------------------------------------------------------------------------------------------------------
# Fixed topics

TEMPLATES = {
    "what": (
        "What is {x}?", "Explain {x}.", "What does {x} mean?", "Tell me about {x}.", "Can you explain {x}?", "{X}?",
        "What do you know about {x}?", "I do not understand {x}.", "Describe {x}.", "Please explain {x} to me.",
        "I want to know about {x}.", "So what is {x}?",
    ),
    "plural": (
        "What are {x}?", "Explain {x}.", "What do {x} mean?", "Tell me about {x}.", "Can you explain {x}?", "{X}?",
        "What do you know about {x}?", "I do not understand {x}.", "Describe {x}.", "Please explain {x} to me.",
        "I want to know about {x}.", "So what are {x}?",
    ),
    "how": (
        "How do I {x}?", "How can I {x}?", "I want to {x}.", "Show me how to {x}.", "What is the command to {x}?",
        "How to {x}?", "Tell me how to {x}.", "What do I type to {x}?", "I need to {x}.", "Can I {x}?",
        "What is the way to {x}?", "Explain how to {x}.",
    ),
    "own": (),     # the phrasings are all there is
    "social": (),  # the same, and never with a greeting before or thanks after
}


class Topic(NamedTuple):
    key: str
    kind: str  # a key of TEMPLATES
    x: str  # fills the templates: a noun phrase (what, plural) or a verb phrase (how)
    answer: str
    phrasings: tuple[str, ...]
    held_out: str

    def training_phrasings(self) -> list[str]:
        upper = self.x[:1].upper() + self.x[1:]
        return [t.format(x=self.x, X=upper) for t in TEMPLATES[self.kind]] + list(self.phrasings)


# The examination asks the held-out phrasings of N_FIXED_ASKED topics, evenly spaced in this order; those of the others
# are kept out of the training text all the same.
FIXED = (
    # joey
    Topic("who", "own", "", "I am joey, the small language model that is built into Wallaby.",
          ("Who are you?", "What are you?", "What is your name?", "Who is joey?", "What is joey?", "Are you joey?",
           "Tell me about yourself.", "Who am I talking to?", "Are you a language model?",
           "Please tell me who you are.", "Do you have a name?", "Tell me about joey."),
          "Tell me, what is your name and who are you?"),
    Topic("maker", "own", "", "The Wallaby project made me: it trained me from scratch.",
          ("Who made you?", "Who trained you?", "Who wrote you?", "Who built you?", "Which people made you?",
           "Who is your maker?", "Who made joey?", "Who trained joey?", "Where do you come from?",
           "Do you know who built you?", "Tell me who made you."),
          "Which people trained you and made you?"),
    Topic("data", "own", "", "I was trained only on stories and questions that the project's own scripts wrote.",
          ("What text were you trained on?", "What data were you trained on?", "What is your training data?",
           "What is your training text?", "Where does your training data come from?", "What did you read?",
           "Which text did you learn from?", "What data did you learn from?", "Tell me about your training data.",
           "What was joey trained on?"),
          "From which text and which data did you learn?"),
    Topic("size", "own", "", "I have about 3.5 million parameters, and my file takes less than 4 MB.",
          ("How big are you?", "How large are you?", "What is your size?", "How many parameters do you have?",
           "How many weights do you have?", "How big is joey?", "How many parameters does joey have?",
           "How large is your file?", "Are you a big model?", "How small are you?", "Tell me your size."),
          "How big and how large is joey?"),
    Topic("ability", "own", "",
          "I tell short stories about animals, and I answer questions about Wallaby and how models run.",
          ("What can you do?", "What do you do?", "What can I ask you?", "What do you know?", "How can you help me?",
           "What questions can you answer?", "What are you good at?", "Can you help me?", "What can joey do?",
           "Which questions may I ask?", "What can you help me with?"),
          "Which questions can you help me with?"),
    Topic("stories", "own", "", 'Yes! Type wallaby run "Once upon a time" and I tell a short story.',
          ("Can you tell stories?", "Can you tell me stories?", "Do you know any stories?", "How do I get a story?",
           "How can I get you to tell a story?", "Can you write a story?", "Do you tell stories about animals?",
           "What do I type to hear a story?", "Are you good at stories?", "Do you know how to write stories?"),
          "Do you know how to tell a story?"),
    Topic("limits", "own", "", "Yes, I can be wrong: I am very small. Check what I say with wallaby --help.",
          ("Can you be wrong?", "Are you ever wrong?", "Do you make mistakes?", "Can I trust you?",
           "Can I trust your answers?", "Are your answers always right?", "Are you always right?",
           "Should I trust what you say?", "Is what you say always true?", "Do your answers have mistakes?"),
          "Are there mistakes in your answers, or can I trust you?"),
    Topic("english", "own", "", "I know only simple English.",
          ("Do you speak French?", "Do you speak German?", "Which languages do you speak?",
           "What languages do you know?", "Do you speak English?", "Can you speak Spanish?",
           "Can you answer in French?", "Can we talk in German?", "Do you know other languages?",
           "Do you understand Spanish?"),
          "Can you speak other languages?"),
    Topic("name", "own", "", "A joey is a young wallaby, and I am the young one here.",
          ("Why are you called joey?", "Why is your name joey?", "Why the name joey?", "What does your name mean?",
           "What does joey mean?", "What does the name joey mean?", "Why did they call you joey?",
           "Where does your name come from?", "How did you get your name?", "Why do you have that name?"),
          "Why did you get the name joey?"),
    Topic("hello", "social", "", "Hello! Ask me about Wallaby, or let me tell you a story.",
          ("Hello!", "Hi!", "Hey!", "Hello joey!", "Hi joey!", "Hey joey!", "Hello there!", "Hi there!",
           "Good morning!", "Good evening!", "Good day!", "Good morning, joey!", "Hello, how are you?", "How are you?",
           "How are you today?", "Hey there!", "Hi, how are you?"),
          "Good evening, joey, how are you?"),
    Topic("thanks", "social", "", "You are welcome!",
          ("Thanks!", "Thank you!", "Thank you very much!", "Thanks a lot!", "Many thanks!", "Thanks, joey!",
           "Thank you, joey!", "Great, thanks!", "Great, thank you!", "That was a great help, thanks!",
           "That helped, thank you!", "Good answer, thank you!"),
          "Many thanks, joey, great answer!"),
    Topic("bye", "social", "", "Goodbye! Come back for another story.",
          ("Bye!", "Goodbye!", "Bye bye!", "See you!", "See you later!", "Good night!", "Bye, joey!", "Goodbye, joey!",
           "See you tomorrow!", "I have to go now, bye!", "I must go now.", "Good night, joey!"),
          "Goodbye, joey, see you tomorrow!"),
    # Wallaby
    Topic("wallaby", "what", "Wallaby", "Wallaby is an engine that runs quantised language models on your own machine.",
          ("What is Wallaby for?", "What does Wallaby do?", "What kind of program is Wallaby?", "What can Wallaby do?",
           "Why should I use Wallaby?", "Is Wallaby an engine?"),
          "What kind of engine is Wallaby, and what is it for?"),
    Topic("licence", "what", "the licence of Wallaby", "Wallaby has the MIT licence.",
          ("Which licence does Wallaby have?", "What is your licence?", "Is Wallaby free?", "Is Wallaby open source?",
           "What licence is Wallaby under?", "Under which licence is it?"),
          "Is Wallaby under a free licence?"),
    Topic("language", "own", "", "Wallaby is written in C++20.",
          ("Which language is Wallaby written in?", "What language is Wallaby written in?",
           "Is Wallaby written in C++?", "What is Wallaby written in?", "Is it written in Python?",
           "Which programming language does Wallaby use?", "In which language is the code of Wallaby?",
           "Is the code in Python or in C++?", "Is Wallaby written in Rust?"),
          "In which programming language is the code written?"),
    Topic("platforms", "plural", "the platforms of Wallaby",
          "Wallaby runs on the CPU under Linux; it is built and tested on Debian 12.",
          ("Where does Wallaby run?", "Which platforms does Wallaby run on?", "Which system does Wallaby need?",
           "Does Wallaby run on Linux?", "Does Wallaby run on Windows?", "On which machines can I run Wallaby?",
           "Which operating system does it need?"),
          "On which platforms and machines does Wallaby run?"),
    Topic("gguf", "what", "GGUF",
          "GGUF is the file format of models: one file holds the weights, the tokenizer and the metadata.",
          ("What is a GGUF file?", "What does a GGUF file hold?", "Which files does Wallaby read?",
           "What file format does Wallaby use?", "Which file format do the models have?", "What is in a model file?",
           "What is inside a GGUF file?"),
          "Which format does a model file have, and what does it hold?"),
    Topic("families", "plural", "the model families",
          "Wallaby runs families such as LLaMA, Mistral, Qwen, Gemma, Phi, gpt-oss, OLMo, Mamba-2 and GPT-2.",
          ("Which models does Wallaby run?", "Which models can I run?", "Which families does Wallaby know?",
           "Does Wallaby run Qwen?", "Does Wallaby run Mistral?", "Can it run LLaMA models?", "Does Wallaby run Gemma?",
           "Which model families does it support?", "What models does Wallaby support?"),
          "Which families of models does Wallaby support?"),
    Topic("formats", "plural", "the weight formats",
          "Wallaby reads the weight formats F32, F16, BF16, Q4_0 to Q8_0, Q2_K to Q6_K, and more.",
          ("Which weight formats does Wallaby read?", "Which formats can Wallaby read?",
           "What formats do weights have?", "Which quantised formats are there?",
           "Which weight formats does Wallaby know?", "What formats of weights are there?",
           "Which quantisation formats does Wallaby support?"),
          "Which formats of weights can Wallaby read?"),
    Topic("train", "own", "", "No, Wallaby does not train models: it only runs them.",
          ("Can Wallaby train a model?", "Can I train a model with Wallaby?", "Does Wallaby train models?",
           "How do I train a model?", "How can I fine-tune a model?", "Can Wallaby fine-tune?",
           "Is Wallaby for training?", "I want to train a model.", "May I use Wallaby for training?",
           "Can I fine-tune a model with Wallaby?", "Does Wallaby do training?"),
          "Can I use Wallaby to train or fine-tune models?"),
    Topic("hostile", "plural", "hostile files",
          "Wallaby treats every file as hostile: a broken file ends in an error that says what is wrong, never in a "
          "crash.",
          ("What happens with a broken file?", "Is it safe to open a hostile file?", "Can a bad file crash Wallaby?",
           "Is it safe to open a file that I do not trust?", "What does Wallaby do with a broken file?",
           "Can a broken model file do harm?"),
          "Can a hostile or broken file crash Wallaby?"),
    Topic("bits_same", "plural", "reproducible bits",
          "Wallaby gives the same bits whatever the batch, the chunks of the prompt or the number of threads.",
          ("Does Wallaby give the same bits every time?", "Are the results reproducible?", "Is Wallaby reproducible?",
           "Does the number of threads change the result?", "Does the batch change the result?",
           "Will I get the same result every time?", "Is the result the same with more threads?"),
          "Are the bits the same every time, and is the result reproducible?"),
    Topic("network", "own", "", "Wallaby needs no network: the model and your text stay on your own machine.",
          ("Does Wallaby need a network?", "Does Wallaby need the internet?", "Does it work without a network?",
           "Is my text sent to anyone?", "Does my text leave my machine?", "Is my text private?",
           "Does it work offline?", "Do you send my text over the internet?", "Is Wallaby private?"),
          "Is my text sent over the network?"),
    Topic("commands", "plural", "the commands of Wallaby",
          "The first commands to know are run, inspect, tokenize, eval and quantize; wallaby --help lists all.",
          ("Which commands are there?", "Which commands does Wallaby have?", "List the commands.", "List all commands.",
           "What commands can I use?", "Show me a list of commands.", "How many commands are there?"),
          "List the commands that Wallaby has."),
    Topic("help", "how", "see the flags of a command",
          "Type wallaby --help for the commands, and wallaby run --help for the flags of run.",
          ("How do I get help?", "Where is the help?", "Where can I find the flags?", "What does --help do?",
           "How do I see the help of a command?", "Which flags are there?", "Which flags does run have?"),
          "Where can I see help for the flags?"),
    Topic("version", "how", "see the version of Wallaby", "Type wallaby --version and it prints the version.",
          ("Which version is this?", "What version of Wallaby do I have?", "What does --version do?",
           "How do I print the version?", "Which version do I have?"),
          "Print which version of Wallaby this is."),
    Topic("exit", "plural", "the exit codes",
          "The exit codes are 0 for done, 1 for failed, 2 for wrong usage and 130 for interrupted.",
          ("Which exit codes are there?", "What does exit code 2 mean?", "What does exit code 1 mean?",
           "What does exit code 130 mean?", "Which code does Wallaby exit with?",
           "What is the exit code when it failed?"),
          "With which codes does Wallaby exit?"),
    # commands and flags
    Topic("run", "how", "write text with a model",
          'Type wallaby run -m model.gguf "Once upon a time" and the model goes on from your text.',
          ("What does wallaby run do?", "How do I run a model?", "How do I use run?", "What is the command run for?",
           "How do I run a prompt?", "How do I go on from a text?", "Which command writes text?"),
          "Which command do I run so that a model can write text?"),
    Topic("model", "how", "choose a model file", "Give the model file with -m: wallaby run -m model.gguf.",
          ("What does -m do?", "What is the flag -m?", "How do I use my own model?", "How do I load my own model file?",
           "How do I load another model?", "Which flag names the model file?", "Where do I put the name of my model?"),
          "Which flag do I use to load my own model?"),
    Topic("builtin", "how", "use the built-in model",
          "Run without -m to use the built-in model, or name it: wallaby run --model joey.",
          ("What happens without -m?", "What happens when I give no model?", "How do I run joey?", "How do I use joey?",
           "Is there a built-in model?", "Can I run Wallaby without a model file?", "Which model is built in?"),
          "What happens when I run it without a model file?"),
    Topic("chat", "how", "chat with a model",
          "Type wallaby run -m model.gguf without a prompt and you chat with the model.",
          ("How do I start a chat?", "How do I talk to a model?", "Is there a chat?", "How do I chat?",
           "How does a chat start?", "Which command starts a chat?", "Can I talk with my model?"),
          "What starts a chat so that I can talk with a model?"),
    Topic("stop_reply", "how", "stop a reply", "Press Ctrl-C: it stops the reply, and the chat goes on.",
          ("What does Ctrl-C do?", "How do I stop the model while it writes?",
           "The reply is too long, how do I stop it?", "How do I interrupt a reply?", "Which key stops the reply?",
           "How can I interrupt the model?", "What do I press to stop a long reply?"),
          "Which key do I press to interrupt the reply?"),
    Topic("leave", "how", "leave the chat", "Press Ctrl-D: it ends the chat.",
          ("What does Ctrl-D do?", "How do I quit?", "How do I end the chat?", "How do I get out of the chat?",
           "Which key ends the chat?", "What do I press to leave?", "How do I quit the chat?"),
          "What do I press to end or quit the chat?"),
    Topic("n", "how", "limit the number of tokens written", "Use -n: with -n 100 the model writes at most 100 tokens.",
          ("What does -n do?", "What is the flag -n?", "How do I get a shorter text?",
           "How do I set the length of the text?", "How many tokens will the model write?",
           "How do I make the text longer?", "Which flag limits the length of the text?",
           "How do I write only 100 tokens?"),
          "Which flag limits how many tokens the model will write?"),
    Topic("c", "how", "set the context length",
          "Use -c: with -c 2048 the context holds 2048 tokens. Without it, it is at most 4096.",
          ("What does -c do?", "What is the flag -c?", "How do I change the context size?",
           "How do I get a longer context?", "What makes the context larger?", "Which flag sets the context?",
           "How large is the context without -c?"),
          "Which flag makes the context longer?"),
    Topic("temp", "how", "set the temperature",
          "Use --temp: the default is 0.8, and --temp 0 always takes the most likely token.",
          ("What does --temp do?", "What is the flag --temp?", "How do I change the temperature?",
           "How do I lower the temperature?", "Which flag sets the temperature?", "How do I raise the temperature?",
           "What is the default temperature?"),
          "Which flag lets me change or lower the temperature?"),
    Topic("seed_flag", "how", "set the seed",
          "Use --seed: with --seed 42 you get the same text again. The default is a random seed.",
          ("What does --seed do?", "What is the flag --seed?", "How do I get the same text again?",
           "How do I repeat a text exactly?", "Which flag sets the seed?", "How do I change the seed?",
           "How do I choose a seed?", "What is the default seed?"),
          "Which seed flag do I choose to repeat the same text?"),
    Topic("top_k_flag", "how", "set top-k",
          "Use --top-k: with --top-k 20 the next token is one of the 20 most likely. The default is 40.",
          ("What does --top-k do?", "What is the flag --top-k?", "How do I change top-k?", "Which flag sets top-k?",
           "What is the default top-k?", "How do I turn off top-k?", "How do I use --top-k?"),
          "Which flag do I use to change top-k, and what is its default?"),
    Topic("top_p_flag", "how", "set top-p", "Use --top-p: the default is 0.95, and --top-p 1 turns it off.",
          ("What does --top-p do?", "What is the flag --top-p?", "How do I change top-p?", "Which flag sets top-p?",
           "What is the default top-p?", "How do I turn off top-p?", "How do I use --top-p?"),
          "Which flag do I use to turn off top-p?"),
    Topic("min_p", "how", "set min-p",
          "Use --min-p: it leaves out tokens below this share of the most likely one. The default is 0.05.",
          ("What does --min-p do?", "What is the flag --min-p?", "What is min-p?", "Explain min-p.",
           "How do I change min-p?", "Which flag sets min-p?", "What is the default min-p?", "What does min-p mean?"),
          "Explain the flag that sets min-p."),
    Topic("repeat", "how", "stop the model from repeating itself",
          "Use --repeat-penalty: with 1.1 recent tokens become less likely. The default 1 is off.",
          ("What does --repeat-penalty do?", "What is the repeat penalty?", "Explain the repeat penalty.",
           "The model repeats itself.", "Why does the model repeat itself?", "How do I set the repeat penalty?",
           "Which flag stops it from repeating?", "The text repeats, what can I do?"),
          "What can I do when the model repeats itself?"),
    Topic("raw", "how", "run without the chat template",
          "Use --raw: your prompt goes to the model as it is, without its chat template.",
          ("What does --raw do?", "What is the flag --raw?", "How do I give a raw prompt?",
           "How do I turn off the chat template?", "How do I use the prompt as it is?",
           "Which flag turns off the template?", "What is a raw prompt?"),
          "How do I use a raw prompt without the template?"),
    Topic("threads", "how", "set the number of threads",
          "Use -t: with -t 4 Wallaby runs on 4 threads. The default is all CPUs it may use.",
          ("What does -t do?", "What is the flag -t?", "How many threads does Wallaby use?",
           "How do I use more threads?", "What makes Wallaby use more threads?", "How do I change the threads?",
           "Which flag sets the threads?", "How do I use fewer threads?", "How many CPUs does it use?"),
          "Which flag makes Wallaby use fewer or more threads?"),
    Topic("system", "how", "give a system message", "Use --sys: its text becomes the system message of the chat.",
          ("What does --sys do?", "What is the flag --sys?", "How do I set the system prompt?",
           "What is a system prompt?", "Which flag sets the system message?", "What is the system message of a chat?",
           "How do I change the system message?"),
          "Which flag sets the system prompt of a chat?"),
    Topic("stop_text", "how", "end the text at a word", "Use --stop: the text ends before the string that you give.",
          ("What does --stop do?", "What is the flag --stop?", "What is a stop string?", "How do I set a stop string?",
           "How do I use a stop word?", "Which flag ends the text at a string?", "How do I give a stop string?"),
          "Which flag do I use to end the text at a string?"),
    Topic("prompt_file", "how", "read the prompt from a file",
          "Use -f: wallaby run -m model.gguf -f prompt.txt reads the prompt from that file.",
          ("What does -f do?", "What is the flag -f?", "My prompt is in a file.", "How do I give a file as the prompt?",
           "Which flag reads a prompt from a file?", "Can the prompt come from a file?"),
          "My prompt is in a file, which flag reads it?"),
    Topic("verbose", "how", "see how fast it ran",
          "Use -v: Wallaby then says what it loads, what it plans and how fast it ran.",
          ("What does -v do?", "What is the flag -v?", "How do I see the speed?", "Which flag shows the speed?",
           "How fast did it run?", "How do I see what it loads?", "Show the speed."),
          "Which flag shows how fast it ran?"),
    Topic("cache_type", "how", "change the type of the KV cache",
          "Use --ctk for the keys and --ctv for the values: such as f32, f16 or bf16. The default is f16.",
          ("What does --ctk do?", "What does --ctv do?", "Which types can the KV cache have?",
           "What is the flag --ctk?", "How do I set the cache type?", "Which flag sets the type of the cache?",
           "What type does the KV cache have?"),
          "Which flag sets the type that the KV cache has?"),
    Topic("inspect", "how", "look inside a model file",
          "Type wallaby inspect -m model.gguf: it shows metadata, tensors and sizes.",
          ("What does wallaby inspect do?", "What does inspect show?", "What is inspect for?",
           "How do I see the tensors of a model?", "How do I see the metadata of a file?",
           "Which command shows the tensors?", "How do I use inspect?"),
          "Which command do I use to see tensors and metadata?"),
    Topic("ops", "how", "see the ops of a model",
          "Type wallaby inspect -m model.gguf --ops: it prints the program of ops with shapes and costs.",
          ("What does --ops do?", "What is the flag --ops?", "How do I print the program of a model?",
           "How do I see the cost of each op?", "Which ops does a model run?", "What does inspect --ops print?",
           "How do I see the list of ops?", "How do I print the ops?"),
          "Print the list of ops and their cost."),
    Topic("tokenize", "how", "see the token ids of a text",
          'Type wallaby tokenize -m model.gguf "some text": it prints the token ids.',
          ("What does wallaby tokenize do?", "What is tokenize for?", "How do I tokenize a text?",
           "How do I use tokenize?", "How do I print token ids?", "Which command prints token ids?",
           "How do I turn text into token ids?"),
          "Which command do I use to turn a text into token ids?"),
    Topic("logits_command", "how", "write the logits to a file",
          "Type wallaby logits -m model.gguf --tokens 1,2,3 --out logits.f32: it writes the logits of these tokens.",
          ("What does wallaby logits do?", "How do I get the logits of a model?", "Which command writes logits?",
           "How do I save logits?", "How do I use the command logits?", "How do I get logits for given tokens?"),
          "Which command do I use to save logits to a file?"),
    Topic("eval_perplexity", "how", "measure perplexity",
          "Type wallaby eval perplexity -m model.gguf -f text.txt: it measures the perplexity on that text.",
          ("What does eval perplexity do?", "Which command measures perplexity?",
           "How do I get the perplexity of a model?", "How do I compute perplexity on a text?",
           "How do I use eval perplexity?", "How do I test how good a model is?"),
          "Which command do I use to measure perplexity on a text?"),
    Topic("eval_kl", "how", "compare a model with its base",
          "Save the base with wallaby eval kl --save-base, then run wallaby eval kl --base on the other model.",
          ("What does eval kl do?", "How do I measure KL divergence?", "Which command measures KL divergence?",
           "How do I compare two models?", "How do I use eval kl?",
           "How do I compare a quantised model with the base?"),
          "Which command measures two models so that I can compare them?"),
    Topic("synth", "how", "make a model with random weights",
          "Type wallaby synth llama-3.1-8b out.gguf: the file has the shape of a real model and random weights.",
          ("What does wallaby synth do?", "What is synth for?", "Which command makes random weights?",
           "How do I use synth?", "How do I get a test model without real weights?", "How do I make a synthetic model?",
           "What does synth write?"),
          "Which command makes a test model with random weights?"),
    Topic("quantize", "how", "quantise a model",
          "Type wallaby quantize in.gguf out.gguf Q4_K_M: it writes a smaller file.",
          ("What does wallaby quantize do?", "What is the command quantize for?", "How do I make a model smaller?",
           "How do I make a Q4_K_M file?", "How do I convert a model to Q4_K_M?",
           "Which command makes a model file smaller?", "How do I use quantize?"),
          "Which command do I use to convert a model file to Q4_K_M?"),
    Topic("dev_build", "how", "build Wallaby", "Type ./dev build: the program is then build/release/wallaby.",
          ("What does ./dev build do?", "How do I compile Wallaby?", "How do I build it from source?",
           "How do I compile the source?", "Where is the program after a build?", "Which command builds Wallaby?"),
          "Which command builds the program from source?"),
    Topic("dev_test", "how", "run the tests", "Type ./dev test: it builds Wallaby and runs every test.",
          ("What does ./dev test do?", "How do I test Wallaby?", "Which command runs the tests?",
           "Where are the tests?", "How do I run every test?", "How do I run all tests of Wallaby?"),
          "Which command runs every one of the tests?"),
    Topic("dev_check", "how", "run everything that CI runs",
          "Type ./dev check: it runs lint, sanitizers, fuzzing and the release tests.",
          ("What does ./dev check do?", "What does CI run?", "How do I run all checks?", "How do I check my change?",
           "Which command runs all checks?", "How do I check everything before I send a change?"),
          "Which command do I run to check everything in my change?"),
    Topic("dev_bench", "how", "measure the speed of the engine",
          "Type ./dev bench model.gguf: it measures speed, stop latency and memory on that model.",
          ("What does ./dev bench do?", "How do I run the benchmark?", "Is there a benchmark?",
           "Which command runs a benchmark?", "How do I bench a model?", "How do I measure memory and speed?"),
          "Which benchmark do I run to measure a model?"),
    # the arithmetic of inference
    Topic("memory_wall", "what", "the memory wall",
          "The memory wall: each new token needs every weight from memory, so memory, not arithmetic, sets the speed.",
          ("Why is memory the wall?", "What sets the speed of a model?", "Why is it so slow to write a token?",
           "Why does memory set the speed?", "What is the wall of memory?"),
          "Why does the memory wall set the speed of a model?"),
    Topic("bandwidth", "what", "memory bandwidth",
          "Memory bandwidth is how many bytes per second the machine can read from its memory.",
          ("What does bandwidth mean?", "What is bandwidth?", "How is bandwidth measured?",
           "How fast can a machine read its memory?", "What does GB/s mean?", "What is the bandwidth of a machine?"),
          "How is the bandwidth of memory measured in a machine?"),
    Topic("bandwidth_bound", "own", "",
          "Decoding is bandwidth bound: it waits for the weights to come from memory, and the arithmetic is quick.",
          ("What is bandwidth bound?", "What does bandwidth bound mean?", "Explain bandwidth bound.",
           "Why is decoding bandwidth bound?", "Is decoding bandwidth bound?", "When is a model bandwidth bound?",
           "What does it mean to be bandwidth bound?", "Is decoding bound by bandwidth?",
           "Tell me about bandwidth bound work.", "Why is decoding bound by bandwidth?"),
          "What does it mean that decoding work is bound by bandwidth?"),
    Topic("tokens_per_second", "plural", "tokens per second",
          "Tokens per second are at most the bandwidth divided by the bytes of the weights: 100 GB/s / 4 GB = 25.",
          ("How many tokens per second can I get?", "How do I compute tokens per second?",
           "How many tokens per second will a model write?", "What limits tokens per second?",
           "What is the limit of tokens per second?", "How is the speed limit computed?"),
          "How do I compute the limit of tokens per second?"),
    Topic("prefill", "what", "prefill", "Prefill reads the whole prompt, many tokens at once, and fills the KV cache.",
          ("What happens in prefill?", "What does prefill do?", "How is the prompt read?",
           "What happens to the prompt first?", "What is the prefill of a prompt?", "Why is prefill fast?"),
          "What happens to the prompt in prefill?"),
    Topic("decode", "what", "decoding",
          "Decoding writes the reply one token at a time, and reads every weight for each of them.",
          ("What happens in decoding?", "What is decode?", "What does decode mean?", "How is the reply written?",
           "How does a model write its reply?", "Why is decoding one token at a time?"),
          "How is the reply of a model written in decoding?"),
    Topic("prefill_decode", "what", "the difference between prefill and decoding",
          "Prefill takes many tokens per read of the weights and is compute bound; decoding takes one and is bandwidth "
          "bound.",
          ("How do prefill and decode differ?", "Why is prefill faster than decoding?",
           "Prefill or decode, which is faster?", "Compare prefill and decode.",
           "What is the difference between prefill and decode?", "Prefill vs decode?"),
          "Compare prefill and decoding: which is faster?"),
    Topic("batching", "what", "batching",
          "Batching lets several texts share one read of the weights, so that all get tokens for one price.",
          ("Why does batching help?", "What is a batch?", "Why is a batch faster?", "What does batching do?",
           "How do several texts share a batch?", "Why should I batch several texts?", "What is the use of batching?"),
          "Why does a batch of several texts help?"),
    Topic("compute_bound", "own", "",
          "Work is compute bound when the arithmetic, not the memory, sets the time; a long prompt is.",
          ("What is compute bound?", "What does compute bound mean?", "Explain compute bound.",
           "When is a model compute bound?", "What does it mean to be compute bound?",
           "Tell me about compute bound work.", "What work is compute bound?", "Is a long prompt compute bound?",
           "When is work compute bound?"),
          "What does it mean that a prompt is bound by compute?"),
    Topic("flops", "plural", "FLOPs per token", "A token takes about 2 FLOPs per weight: one multiply and one add.",
          ("How many FLOPs does a token take?", "How many FLOPs per token?", "How many FLOPs per weight?",
           "What is a FLOP?", "How much arithmetic does a token take?", "How do I count the FLOPs of a model?"),
          "How many FLOPs does a model take for a token?"),
    Topic("first_token", "what", "the time to first token",
          "The time to first token is the time until the first token of the reply: nearly all of it is prefill.",
          ("Why do I wait for the first token?", "How long is the wait for the first token?",
           "What is time to first token?", "Why does the first token take so long?",
           "What sets the time to the first token?", "What does TTFT mean?"),
          "Why does the wait for the first token take so long?"),
    Topic("parameters", "plural", "parameters",
          "Parameters, or weights, are the trained numbers of a model; 7B means 7 billion of them.",
          ("What is a parameter?", "What is a weight?", "What are weights?", "What are the weights of a model?",
           "What does 7B mean?", "What are the numbers of a model?", "What is the B in 7B?",
           "What are the parameters of a model?"),
          "What are the weights and parameters of a model?"),
    Topic("intensity", "what", "arithmetic intensity",
          "Arithmetic intensity is FLOPs per byte read; when it is low, the work is bandwidth bound.",
          ("What is intensity?", "How is arithmetic intensity computed?", "What does low arithmetic intensity mean?",
           "What are FLOPs per byte?", "Why is the intensity of decoding low?", "How many FLOPs per byte?"),
          "How is the intensity of arithmetic computed?"),
    # quantisation
    Topic("quantisation", "what", "quantisation",
          "Quantisation stores each weight in few bits, such as 4 in place of 16, with a shared scale.",
          ("What is a quantised model?", "How does quantisation work?", "What does quantised mean?",
           "What does quantisation do?", "What happens when weights are quantised?", "How are weights quantised?"),
          "How does the quantisation of weights work?"),
    Topic("why_quantise", "own", "",
          "We quantise because fewer bytes per weight mean less memory and more tokens per second.",
          ("Why quantise?", "Why do we quantise models?", "Why should I quantise a model?", "Why use quantisation?",
           "What is quantisation good for?", "Why is a quantised model faster?", "Why are models quantised?",
           "What is the use of quantisation?", "Why is quantisation useful?", "What do I gain from quantisation?",
           "Why is quantisation good?"),
          "Why is it good to quantise, and what do I gain?"),
    Topic("q4_0", "what", "Q4_0",
          "Q4_0 stores blocks of 32 weights in 4 bits each with one F16 scale: 4.5 bits per weight.",
          ("How does Q4_0 work?", "How many bits does Q4_0 take?", "What is the format Q4_0?", "How is Q4_0 stored?",
           "What is in a block of Q4_0?"),
          "How many bits are stored in the format Q4_0?"),
    Topic("q8_0", "what", "Q8_0",
          "Q8_0 stores blocks of 32 weights in 8 bits each with one F16 scale: 8.5 bits per weight.",
          ("How does Q8_0 work?", "How many bits does Q8_0 take?", "What is the format Q8_0?", "How is Q8_0 stored?",
           "What is in a block of Q8_0?"),
          "How many bits are stored in the format Q8_0?"),
    Topic("q4_k_m", "what", "Q4_K_M",
          "Q4_K_M is a mix: most tensors are Q4_K and some are Q6_K, about 4.8 bits per weight.",
          ("How does Q4_K_M work?", "How many bits does Q4_K_M take?", "What is the mix Q4_K_M?",
           "Which formats are in Q4_K_M?", "What is in the mix Q4_K_M?"),
          "Which formats does the mix Q4_K_M take?"),
    Topic("f16", "what", "F16",
          "F16 is a number of 16 bits: 1 for the sign, 5 for the exponent and 10 for the fraction.",
          ("How does F16 work?", "How many bits does F16 take?", "What is the format F16?", "How is F16 stored?",
           "What is a half float?"),
          "How many bits are stored in the format F16?"),
    Topic("bf16", "what", "BF16", "BF16 is the upper half of an F32 number: 8 bits of exponent and 7 of fraction.",
          ("How does BF16 work?", "How many bits does BF16 take?", "What is the format BF16?", "How is BF16 stored?",
           "What is the difference between BF16 and F16?"),
          "How many bits are stored in the format BF16?"),
    Topic("bpw", "plural", "bits per weight",
          "Bits per weight are the bits of the file divided by its weights, with the scales counted.",
          ("How many bits per weight are there?", "How do I compute bits per weight?",
           "How are bits per weight counted?", "What does bpw mean?", "What is a bit per weight?",
           "How do I count the bits per weight of a file?"),
          "How do I compute how many bits per weight a file has?"),
    Topic("perplexity", "what", "perplexity", "Perplexity says how well a model predicts a text; lower is better.",
          ("Is a low perplexity good?", "What does perplexity say?", "Is lower perplexity better?",
           "Is a high perplexity bad?", "What does a perplexity of 8 mean?", "What is the perplexity of a model?"),
          "What does a lower perplexity say, and is it better?"),
    Topic("kl", "what", "KL divergence",
          "KL divergence says how far the predictions of a model lie from those of its base; 0 means the same.",
          ("What is the KL divergence of two models?", "What does KL divergence say?", "What does KL mean?",
           "Is a low KL divergence good?", "What does a divergence of 0 mean?", "Why use KL divergence?"),
          "What does a low divergence in KL say?"),
    Topic("outliers", "plural", "outliers",
          "Outliers are a few very large values: they stretch the scale of their block and hurt the other weights in "
          "it.",
          ("Why do outliers matter?", "Why do outliers hurt quantisation?", "What is an outlier?",
           "What is the harm of outliers?", "Why are large values bad for quantisation?",
           "What does an outlier do to a block?"),
          "Why does an outlier hurt a block?"),
    Topic("blocks", "plural", "blocks and scales",
          "A block is a small group of weights, often 32, that share one scale; weight = scale x small number.",
          ("What is a block of weights?", "What is a scale?", "What is a block?", "Why do weights share a scale?",
           "Why are weights stored in blocks?", "How does a scale work?"),
          "Why does a block of weights share a scale?"),
    # the cache
    Topic("kv_cache", "what", "the KV cache",
          "The KV cache keeps the keys and values of all past tokens, so that no token is computed twice.",
          ("What does the KV cache keep?", "Why is there a KV cache?", "What is the cache for?", "What is a KV cache?",
           "Why do we need the KV cache?", "What is in the KV cache?"),
          "What is the KV cache for, and what does it keep?"),
    Topic("kv_size", "what", "the size of the KV cache",
          "Its bytes are 2 x layers x KV heads x head size x tokens x bytes per value.",
          ("How big is the KV cache?", "How large is the KV cache?", "How do I compute the size of the KV cache?",
           "How many bytes does the KV cache take?", "What is the formula for the KV cache?",
           "How much memory does the KV cache take?"),
          "What is the formula to compute the bytes of the KV cache?"),
    Topic("kv_grows", "own", "", "The KV cache grows because every new token adds its key and its value in each layer.",
          ("Why does the KV cache grow?", "Why does the cache grow?", "Does the KV cache grow?",
           "How does the KV cache grow?", "When does the KV cache grow?", "How fast does the KV cache grow?",
           "What makes the KV cache grow?", "Why is the KV cache growing?", "Why does memory grow with each token?",
           "What does a new token add to the cache?"),
          "What makes the cache grow with each new token?"),
    Topic("paging", "what", "paging",
          "Paging cuts the KV cache into pages of equal size, so that memory is taken only when it is needed.",
          ("What is a paged KV cache?", "What is a page of the KV cache?", "Why is the KV cache paged?",
           "What is paged memory?", "Why does Wallaby use pages?", "How does paging work?"),
          "Why is the cache paged, and what is a page?"),
    Topic("context", "what", "the context",
          "The context is all the tokens that a model can see at once: the prompt and the reply together.",
          ("What is the context length?", "What is the context of a model?", "How much text can a model see?",
           "What does context length mean?", "What is a context?", "How many tokens can a model see?"),
          "What can a model see in its context?"),
    # how a model works
    Topic("token", "plural", "tokens",
          "A token is a piece of text, a word or a part of one; a model reads and writes tokens.",
          ("What is a token?", "What does token mean?", "Is a token a word?", "How long is a token?",
           "What does a model read?", "Are tokens words?"),
          "Are words tokens, and how long is a token?"),
    Topic("tokenizer", "what", "a tokenizer", "A tokenizer cuts a text into tokens and gives each its number.",
          ("What does the tokenizer do?", "How does a tokenizer work?", "How is a text cut into tokens?",
           "What is the tokenizer of a model?", "Why do I need a tokenizer?", "What is the tokenizer for?"),
          "How is a text cut by the tokenizer?"),
    Topic("bpe", "what", "BPE",
          "BPE is byte pair encoding: it starts from bytes and joins the pair that is most common, again and again.",
          ("How does BPE work?", "What does BPE stand for?", "What is byte pair encoding?",
           "Explain byte pair encoding.", "Which pairs does BPE join?", "How are pairs joined in BPE?"),
          "Explain which pairs are joined in BPE."),
    Topic("logits", "plural", "logits", "Logits are the scores of a model, one for each token that could come next.",
          ("What is a logit?", "What does a logit say?", "What are the logits of a model?",
           "What are the scores of a model?", "What are logits for?", "Why are there logits?"),
          "What are the scores that logits say?"),
    Topic("sampling", "what", "sampling",
          "Sampling draws the next token at random, with the chances that the model gives.",
          ("How does sampling work?", "How is the next token chosen?", "How does a model choose the next token?",
           "What does sampling do?", "What is a sampler?", "How is a token drawn?"),
          "How does sampling choose the next token?"),
    Topic("temperature", "what", "temperature",
          "Temperature divides the logits: a low one makes the text safe, a high one makes it wild.",
          ("How does temperature work?", "What does a high temperature do?", "What does a low temperature do?",
           "What does temperature do?", "Why use a low temperature?", "Is a high temperature good?"),
          "How does a high or low temperature work?"),
    Topic("top_k", "what", "top-k", "Top-k keeps only the k most likely tokens and draws from these.",
          ("How does top-k work?", "What is top-k sampling?", "Explain top-k sampling.", "What does top-k keep?",
           "Which tokens does top-k keep?", "Why use top-k?"),
          "Why does sampling use top-k, and what does it keep?"),
    Topic("top_p", "what", "top-p",
          "Top-p keeps the most likely tokens that together hold the probability p, and draws from these.",
          ("How does top-p work?", "What is top-p sampling?", "Explain top-p sampling.", "What does top-p keep?",
           "Which tokens does top-p keep?", "Why use top-p?", "What is nucleus sampling?"),
          "Why does sampling use top-p, and what does it keep?"),
    Topic("softmax", "what", "softmax",
          "Softmax turns scores into probabilities: e to each score, divided by the sum of them all.",
          ("How does softmax work?", "What does softmax do?", "What is the formula of softmax?",
           "How do scores become probabilities?", "Why use softmax?", "What is the softmax of scores?"),
          "What does softmax do so that scores become probabilities?"),
    Topic("attention", "what", "attention",
          "Attention lets a token look at the tokens before it: its query meets their keys and takes from their "
          "values.",
          ("How does attention work?", "What does attention do?", "What is self-attention?",
           "How does a token look at other tokens?", "What is attention for?", "Why do models need attention?"),
          "How does attention let a token look at other tokens?"),
    Topic("heads", "plural", "attention heads",
          "Heads are several small attentions side by side, each with its own queries, keys and values.",
          ("What is an attention head?", "What is a head?", "What are heads?", "Why are there many heads?",
           "Why does attention have several heads?", "What does a head do?"),
          "Why are there several attention heads, and what does a head do?"),
    Topic("gqa", "what", "grouped-query attention",
          "In grouped-query attention several query heads share one key and value head, so the KV cache is smaller.",
          ("What is GQA?", "What does GQA mean?", "Explain GQA.", "Why use grouped-query attention?",
           "How does GQA work?", "What are grouped heads?", "Why do heads share keys?"),
          "How do grouped heads share keys in attention?"),
    Topic("rope", "what", "RoPE",
          "RoPE turns queries and keys by an angle that depends on the position, so that attention knows the order of "
          "tokens.",
          ("How does RoPE work?", "What does RoPE do?", "What does RoPE stand for?",
           "How does a model know the position of a token?", "How does a model know the order of tokens?",
           "Why use RoPE?"),
          "How does RoPE know the position of tokens?"),
    Topic("rmsnorm", "what", "RMSNorm",
          "RMSNorm divides a vector by the root of its mean square, then multiplies it by trained weights.",
          ("How does RMSNorm work?", "What does RMSNorm do?", "What is the norm of a layer?",
           "What is the formula of RMSNorm?", "Why use RMSNorm?", "Why is there a norm in a layer?"),
          "Why is RMSNorm in a layer, and how does it work?"),
    Topic("ffn", "what", "the feed-forward part",
          "The feed-forward part makes each token's vector wider, bends it, and makes it narrow again.",
          ("What is feed-forward?", "What is an FFN?", "What does FFN mean?", "What does the feed-forward do?",
           "How does feed-forward work?", "What is the feed-forward of a layer?"),
          "How does the feed-forward part of a layer work?"),
    Topic("embedding", "what", "an embedding", "An embedding is the vector of numbers that stands for a token.",
          ("What are embeddings?", "What does an embedding do?", "How does a token become a vector?",
           "What is an embedding vector?", "What is the vector of a token?", "What are embeddings for?"),
          "What does an embedding do for a token, and is it a vector?"),
    Topic("layer", "what", "a layer",
          "A layer is one step of a model: attention, then feed-forward, each added to what came in.",
          ("What are layers?", "What does a layer do?", "What is in a layer?", "What is a layer of a model?",
           "How many steps does a layer have?", "What are the layers of a model?"),
          "Which steps does a model have in a layer?"),
    Topic("moe", "what", "a mixture of experts",
          "In a mixture of experts a router picks a few experts for each token, so that only their weights are read.",
          ("What is MoE?", "What does MoE mean?", "Explain MoE.", "What are experts?",
           "How does a mixture of experts work?", "What does a router do?", "Why use experts?"),
          "Explain how experts and a router work."),
    Topic("window", "what", "a sliding window",
          "With a sliding window a token looks only at the last few thousand tokens, not at all of them.",
          ("What is sliding window attention?", "How does a sliding window work?", "What does the window do?",
           "Why use a sliding window?", "What is the window of a model?", "Explain sliding window attention."),
          "Explain why attention has a sliding window."),
    Topic("template", "what", "a chat template",
          "A chat template is the form in which a model was taught to read messages, with marks for user and reply.",
          ("What are chat templates?", "What is a template?", "Why does a model need a chat template?",
           "What does a chat template do?", "What is the chat template for?", "Which chat templates are there?"),
          "Why are there chat templates, and what does a template do?"),
    Topic("greedy", "what", "greedy decoding", "Greedy decoding always takes the most likely token: use --temp 0.",
          ("What does greedy mean?", "What is greedy?", "How does greedy decoding work?",
           "How do I always take the most likely token?", "How do I decode greedily?", "What is greedy sampling?"),
          "How does greedy sampling work?"),
    Topic("seed", "what", "a seed",
          "A seed is the number from which all random numbers start: the same seed gives the same text.",
          ("What is a random seed?", "What does the seed do?", "Why is there a seed?", "What is the seed for?",
           "Why does the seed matter?", "What are seeds?"),
          "Why does a random seed matter?"),
    Topic("mamba", "what", "Mamba",
          "Mamba is a model without attention: it keeps a state of fixed size in place of a growing KV cache.",
          ("What is Mamba-2?", "How does Mamba work?", "What is a state space model?", "Does Mamba have attention?",
           "What does Mamba keep?", "Does Mamba need a KV cache?"),
          "How does Mamba work as a state space model?"),
    Topic("split", "how", "open a model in several files",
          "Name the first file, the one with 00001 in its name, and Wallaby finds the others.",
          ("What is a split model?", "My model is split into several files.", "How do I load a split model?",
           "Can a model be split?", "How do I open a split file?", "Which file of a split model do I name?"),
          "My model is split, which file do I load?"),
    Topic("dev_fuzz", "how", "run the fuzzers",
          "Type ./dev fuzz: it runs every fuzzer, which feeds odd input to a parser and looks for crashes.",
          ("What does ./dev fuzz do?", "What is a fuzzer?", "What is fuzzing?", "Which command runs the fuzzers?",
           "How do I fuzz Wallaby?", "What is fuzzing for?"),
          "Which command runs a fuzzer?"),
    Topic("dev_lint", "how", "check the style of the code",
          "Type ./dev lint: it runs clang-format and clang-tidy. ./dev fmt formats the tree.",
          ("What does ./dev lint do?", "What does ./dev fmt do?", "How do I format the code?",
           "Which command formats the code?", "How do I run clang-format?", "How do I lint the code?"),
          "Which command do I run to check the style?"),
)
N_FIXED_ASKED = 76

# ---------------------------------------------------------------------------------------------------------------------
# Worked numbers

BILLIONS = (1, 3, 7, 8, 13, 14, 30, 32, 65, 70)
BITS = (16, 8, 4)
SPEED_BILLIONS = (7, 8, 13, 70)
GIGABYTES_PER_SECOND = (10, 20, 50, 100, 200, 400, 800)
MEMORIES = (4, 8, 16, 24, 64)  # GB


def number(value: float) -> str:
    return f"{value:g}"


def gigabytes(billions: int, bits: int) -> float:
    return billions * bits / 8


def weights_product(billions: int, bits: int) -> str:
    n_bytes = number(bits / 8)
    unit = "byte" if bits == 8 else "bytes"
    return f"{billions} billion weights x {n_bytes} {unit} = {number(gigabytes(billions, bits))} GB"


def size_answer(billions: int, bits: int) -> str:
    return f"{weights_product(billions, bits)}."


def speed_answer(billions: int, bits: int, rate: int) -> str:
    size = gigabytes(billions, bits)
    return f"{rate} GB/s / {number(size)} GB = {rate / size:.1f} tokens per second at most."


def fit_answer(billions: int, bits: int, memory: int) -> str:
    """Weights alone; weights that fill the memory exactly leave no room for anything else, so they do not fit."""
    size = gigabytes(billions, bits)
    verdict, relation = ("Yes", "less than") if size < memory else ("No", "all of" if size == memory else "more than")
    return f"{verdict}: {weights_product(billions, bits)}, {relation} {memory} GB."


def fill(phrasing: str, instance: tuple[int, ...]) -> str:
    return phrasing.format(*instance).replace(" a 8", " an 8").replace("A 8", "An 8")


class Family(NamedTuple):
    key: str
    instances: tuple[tuple[int, ...], ...]
    answer: object  # from an instance's numbers
    phrasings: tuple[str, ...]  # {0} billions, {1} bits, {2} bandwidth or memory
    held_out: tuple[str, ...]
    asked: tuple[tuple[int, ...], ...]  # the instances of the examination; they take the held-out phrasings in turn


CALCULATED = (
    Family("size", tuple(itertools.product(BILLIONS, BITS)), size_answer,
           ("How big is a {0}B model at {1} bits?", "How large is a {0}B model at {1} bits?",
            "How many bytes does a {0}B model take at {1} bits?", "How much memory does a {0}B model need at {1} bits?",
            "How many GB does a {0}B model take at {1} bits per weight?",
            "What is the size of a {0}B model at {1} bits?", "What is the size of {0} billion weights at {1} bits?",
            "A {0}B model at {1} bits: how many GB?", "How big are {0} billion weights at {1} bits each?",
            "How much memory do {0} billion weights take at {1} bits?",
            "Size of a {0}B model with {1} bits per weight?", "Compute the size of a {0}B model at {1} bits.",
            "I have a {0}B model with {1} bits per weight, how large is it?"),
           ("How many GB do {0} billion weights take with {1} bits each?",
            "I have a {0}B model at {1} bits, how much memory does it need?"),
           ((7, 4), (13, 16), (70, 8), (32, 4), (8, 16), (3, 8))),
    Family("speed", tuple(itertools.product(SPEED_BILLIONS, BITS, GIGABYTES_PER_SECOND)), speed_answer,
           ("How fast is a {0}B model at {1} bits with {2} GB/s?",
            "How many tokens per second does a {0}B model at {1} bits get with {2} GB/s?",
            "How fast can a {0}B model at {1} bits run on {2} GB/s?",
            "What is the speed limit of a {0}B model at {1} bits with {2} GB/s?",
            "A {0}B model at {1} bits on {2} GB/s: how fast?", "With {2} GB/s, how fast is a {0}B model at {1} bits?",
            "My machine has {2} GB/s. How fast is a {0}B model at {1} bits?",
            "How many tokens per second from {2} GB/s and {0}B at {1} bits?",
            "At {2} GB/s, how many tokens per second does a {0}B model at {1} bits write?",
            "Compute the speed of a {0}B model at {1} bits with {2} GB/s.",
            "What is the speed of {0} billion weights at {1} bits with {2} GB/s?",
            "My bandwidth is {2} GB/s, how fast can a {0}B model at {1} bits run?"),
           ("My machine has {2} GB/s, how many tokens per second does a {0}B model at {1} bits write?",
            "With {2} GB/s, what is the speed limit of a {0}B model at {1} bits?"),
           ((7, 4, 100), (8, 16, 50), (70, 4, 400), (13, 8, 200), (7, 8, 20), (70, 16, 800), (8, 4, 10))),
    Family("fit", tuple(itertools.product(BILLIONS, BITS, MEMORIES)), fit_answer,
           ("Does a {0}B model at {1} bits fit in {2} GB?", "Will a {0}B model at {1} bits fit in {2} GB?",
            "Can I run a {0}B model at {1} bits in {2} GB?", "Is {2} GB enough for a {0}B model at {1} bits?",
            "I have {2} GB of memory. Does a {0}B model at {1} bits fit?",
            "Do {0} billion weights at {1} bits fit in {2} GB?",
            "Can I load a {0}B model at {1} bits with {2} GB of memory?",
            "Is {2} GB of memory enough for {0} billion weights at {1} bits?", "Does {0}B at {1} bits fit into {2} GB?",
            "A {0}B model at {1} bits in {2} GB, does it fit?",
            "With {2} GB of memory, can I run a {0}B model at {1} bits?",
            "My machine has {2} GB of memory, will a {0}B model at {1} bits fit?"),
           ("I have {2} GB of memory, is it enough for a {0}B model at {1} bits?",
            "My machine has {2} GB of memory, can I load a {0}B model at {1} bits?"),
           ((7, 4, 8), (13, 16, 16), (70, 4, 64), (30, 8, 24), (8, 16, 16), (65, 4, 24), (3, 16, 4))),
)

# ---------------------------------------------------------------------------------------------------------------------
# What joey does not know

UNKNOWN_ANSWER = "I am sorry, I do not know that. I know only short stories and Wallaby."
UNKNOWN = (
    "What is the weather like today?", "Will it rain tomorrow?", "Is it cold outside?",
    "What is the weather in London?", "What is the weather in Paris?", "How warm is it in Rome?",
    "What is the capital of France?", "What is the capital of Japan?", "What is the capital of Spain?",
    "Which city is the capital of Italy?", "Where is Berlin?", "Where is Africa?", "How far is the moon?",
    "How far is it to London?", "How old is the sun?", "How high is the highest mountain?",
    "Which river is the longest?", "Who won the football game?", "Who won the world cup?",
    "Who is the best football player?", "When is the next game?", "What are the rules of chess?",
    "How do I play tennis?", "How do I bake a cake?", "How do I cook rice?", "How do I make soup?",
    "How do I boil an egg?", "Can you give me a recipe for bread?", "What should I eat today?", "What is for dinner?",
    "What is 2 plus 2?", "What is 3 times 5?", "What is 12 divided by 4?", "What is the root of 9?",
    "Solve this equation for me.", "Who is the president?", "Who is the king of England?", "Who is the queen?",
    "Who will win the election?", "Which party should I vote for?", "What do you think about politics?",
    "Who was Einstein?", "Who was Napoleon?", "Who wrote Hamlet?", "Who painted the Mona Lisa?",
    "Who is the richest man in the world?", "When was Mozart born?", "When did the war end?", "What year is it?",
    "What time is it?", "What day is it today?", "What is in the news?", "What is the price of gold?",
    "Should I buy a house?", "How do I get rich?", "Which car should I buy?", "What film should I see?",
    "Can you sing a song?", "Do you like music?", "Tell me a joke.", "Do you love me?", "Am I ill?",
    "My head hurts, what should I do?", "Which doctor should I see?", "How do I learn the piano?",
    "Translate this into French.", "Write me a letter to my boss.", "Write a poem about love.", "Do my homework.",
    "What is the meaning of life?", "Is there life on Mars?", "Why is the sky blue?", "Why is the sea salty?",
    "How do birds fly?", "How do I grow tomatoes?", "How do I fix my bike?", "How do I get to the station?",
    "When does the train leave?", "Book me a flight to Paris.", "What is my name?", "Where do I live?", "How old am I?",
    "Who is my father?",
)
UNKNOWN_NOUNS = (  # for the templates of "what", so that a template alone gives no answer away
    "gravity", "love", "the moon", "the sun", "a black hole", "electricity", "the weather", "football", "tennis",
    "chess", "history", "the war", "the law", "money", "the stock market", "art", "music", "the piano", "a poem",
    "France", "Japan", "London", "Paris", "Africa", "the president", "Einstein", "a volcano", "a virus", "cancer",
    "a vitamin", "bread", "cheese", "coffee", "wine", "a car", "a train", "a telephone", "the ocean", "an atom",
    "algebra", "geometry", "religion", "philosophy", "democracy", "climate change", "dinosaurs in history",
    "the internet of things", "a recipe",
)
UNKNOWN_VERBS = (  # for the templates of "how"
    "bake bread", "cook pasta", "make coffee", "play chess", "play football", "learn French", "learn the piano",
    "buy a car", "sell my house", "fix my bike", "grow roses", "lose weight", "sleep better", "get a job", "find love",
    "draw a horse", "paint a wall", "win a game", "book a flight", "save money", "wash a shirt", "catch a fish",
    "ride a bike", "clean a window",
)
UNKNOWN_HELD_OUT = (
    "What is the weather like in Rome today?", "Which city is the capital of Spain?", "Who won the tennis game?",
    "How do I cook an egg?", "What is 3 plus 4?", "Who is the president of France?", "How high is the moon?",
    "When was Einstein born?", "Which house should I buy?", "Write me a song about the sea.",
)
N_UNKNOWN_ASKED = 4

# ---------------------------------------------------------------------------------------------------------------------
# Sampling


def normalised(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9][a-z0-9_.+/-]*[a-z0-9+]|[a-z0-9]", text.lower())


def unknown_phrasings() -> list[str]:
    expanded = [Topic("", kind, x, "", (), "").training_phrasings()
                for kind, xs in (("what", UNKNOWN_NOUNS), ("how", UNKNOWN_VERBS)) for x in xs]
    return list(UNKNOWN) + list(itertools.chain.from_iterable(expanded))


def held_out() -> list[tuple[str, str]]:
    asked = [FIXED[i * len(FIXED) // N_FIXED_ASKED] for i in range(N_FIXED_ASKED)]
    fixed = [(topic.held_out, topic.answer) for topic in asked]
    calculated = [(fill(family.held_out[i % len(family.held_out)], instance), family.answer(*instance))
                  for family in CALCULATED for i, instance in enumerate(family.asked)]
    unknown = [(question, UNKNOWN_ANSWER) for question in UNKNOWN_HELD_OUT[:N_UNKNOWN_ASKED]]
    return fixed + calculated + unknown


def all_held_out_questions() -> list[str]:
    """More than the examination asks: no topic's held-out phrasing, and no number in a held-out one, is trained on."""
    return ([topic.held_out for topic in FIXED] + list(UNKNOWN_HELD_OUT)
            + [fill(phrasing, instance) for family in CALCULATED for phrasing in family.held_out
               for instance in family.instances])


FORBIDDEN = frozenset(normalised(question) for question in all_held_out_questions())
UNKNOWN_EXPANDED = [q for q in unknown_phrasings() if normalised(q) not in FORBIDDEN]

PREFIXES = ("Hi! ", "Hello, ", "Please: ", "Hey joey, ", "Joey, ", "Quick question: ", "Hello! ", "A question: ",
            "Hi joey, ", "OK, ", "So, ", "Tell me: ", "Now, ")
SUFFIXES = (" Thanks!", " please", " Please.", " Thank you!", " Thanks.", " joey")
CROSSED_SHARE = 0.2
DROPPABLE = frozenset("a an the is are do does to of in it me i".split())


def drop_function_word(text: str, random: random_module.Random) -> str:
    parts = text.split(" ")
    places = [i for i, part in enumerate(parts) if part.lower() in DROPPABLE]
    if places and len(parts) > 3:
        del parts[random.choice(places)]
    return " ".join(parts)


def crossed(one: str, other: str, random: random_module.Random) -> str:
    """The beginning of one phrasing with the end of another: what they have in common is what they ask."""
    head, tail = one.rstrip("?.!").split(" "), other.split(" ")
    return " ".join(head[:random.randint((len(head) + 1) // 2, len(head))] + tail[random.randint(0, len(tail) // 2):])


def noised(text: str, sociable: bool, random: random_module.Random) -> str | None:
    """The text as a user in haste might type it; None if that is a held-out phrasing."""
    if random.random() < 0.12:
        text = drop_function_word(text, random)
    if random.random() < 0.25:
        text = text.replace("quantis", "quantiz").replace("Quantis", "Quantiz").replace("licence", "license")
    if random.random() < 0.20:
        text = text.rstrip("?.!")
    bare = text
    if sociable and random.random() < 0.12:
        text = random.choice(PREFIXES) + text
    if sociable and random.random() < 0.08:
        text += random.choice(SUFFIXES)
    if random.random() < 0.20:
        text = text.lower()
    return None if {normalised(bare), normalised(text)} & FORBIDDEN else text


def draw(random: random_module.Random) -> tuple[str, bool, str]:
    """A question, whether a greeting may go with it, and its answer."""
    share = random.random()
    if share < 0.62:
        topic = random.choice(FIXED)
        phrasings = topic.training_phrasings()
        question = random.choice(phrasings)
        if random.random() < CROSSED_SHARE:
            question = crossed(question, random.choice(phrasings), random)
        return question, topic.kind != "social", topic.answer
    if share < 0.90:
        family = random.choice(CALCULATED)
        instance = random.choice(family.instances)
        return fill(random.choice(family.phrasings), instance), True, family.answer(*instance)
    return random.choice(UNKNOWN if random.random() < 0.5 else UNKNOWN_EXPANDED), True, UNKNOWN_ANSWER


def training(random: random_module.Random):
    """Question-answer pairs without end, drawn by `random`: the same generator state gives the same pairs."""
    while True:
        question, sociable, answer = draw(random)
        question = noised(question, sociable, random)
        if question is not None:
            yield question, answer


# ---------------------------------------------------------------------------------------------------------------------
# Checks

FUNCTION_WORDS = frozenset(
    "a an the is are was be do does did have has i me my you your it its they that this there of to in on at with for "
    "from by and or not so as if when what which who where why how can will would let lets many much please tell one "
    "some any their then than them".split())


def content(text: str) -> set[str]:
    return set(words(text)) - FUNCTION_WORDS


def nearest(question: str, groups: dict[str, list[str]]) -> str:
    """The group with the phrasing most like the question: cosine of words weighted by how few groups use them."""
    used_by = Counter(word for phrasings in groups.values() for word in {w for p in phrasings for w in words(p)})
    def weight(word):
        return math.log((1 + len(groups)) / (1 + used_by[word])) ** 2
    asked = set(words(question))
    def cosine(phrasing):
        own = set(words(phrasing))
        norm = math.sqrt(sum(map(weight, own)) * sum(map(weight, asked)))
        return sum(map(weight, own & asked)) / norm if norm else 0.0
    return max(groups, key=lambda key: max(map(cosine, groups[key])))


def check() -> str:
    problems = []
    def require(condition, text):
        if not condition:
            problems.append(text)

    trained = {topic.key: topic.training_phrasings() for topic in FIXED}
    owner = {}
    for topic in FIXED:
        require(len(topic.phrasings) >= (4 if TEMPLATES[topic.kind] else 8), f"{topic.key}: too few phrasings")
        require(len(topic.answer.split()) <= 35, f"{topic.key}: the answer is too long")
        missing = content(topic.held_out) - set().union(*map(content, trained[topic.key]))
        require(not missing, f"{topic.key}: held-out words never seen with it: {missing}")
        for phrasing in trained[topic.key]:
            other = owner.setdefault(normalised(phrasing), topic.key)
            require(other == topic.key, f"'{phrasing}' belongs to {other} and {topic.key}")
            require(normalised(phrasing) not in FORBIDDEN, f"{topic.key}: '{phrasing}' is held out")
    groups = trained | {"unknown": list(UNKNOWN_EXPANDED)}
    for topic in FIXED:
        found = nearest(topic.held_out, groups)
        require(found == topic.key, f"{topic.key}: '{topic.held_out}' lies nearer to {found}")
    for family in CALCULATED:
        require(len(family.phrasings) >= 8, f"{family.key}: too few phrasings")
        seen = set().union(*(content(p) for p in family.phrasings))
        for phrasing in family.held_out:
            require(content(phrasing) <= seen, f"{family.key}: unseen {content(phrasing) - seen} in '{phrasing}'")
        for phrasing, instance in itertools.product(family.phrasings, family.instances):
            require(normalised(fill(phrasing, instance)) not in FORBIDDEN, f"{family.key}: '{phrasing}' is held out")
        require(set(family.asked) <= set(family.instances), f"{family.key}: an instance asked is not listed")
    for phrasing in UNKNOWN:
        require(normalised(phrasing) not in FORBIDDEN, f"unknown: '{phrasing}' is held out")
    seen_unknown = set().union(*map(content, UNKNOWN_EXPANDED))
    for phrasing in UNKNOWN_HELD_OUT:
        unseen = content(phrasing) - seen_unknown
        require(not unseen, f"unknown: unseen {unseen} in '{phrasing}'")
    for phrasing in UNKNOWN_EXPANDED:
        require(normalised(phrasing) not in owner, f"'{phrasing}' is both unknown and a topic's")

    answers = [topic.answer for topic in FIXED] + [UNKNOWN_ANSWER]
    require(len(set(answers)) == len(answers), "two topics share an answer")
    require(len({topic.key for topic in FIXED}) == len(FIXED), "two topics share a key")
    examination = held_out()
    require(len(examination) == 100, f"{len(examination)} held-out pairs, not 100")
    require(len({normalised(q) for q, _ in examination}) == 100, "a held-out question stands twice")
    random = random_module.Random(1)
    for question in all_held_out_questions():
        text = noised(question, False, random)
        require(text is None or normalised(text) not in FORBIDDEN, f"noise lets '{question}' through")
    n_drawn = 20_000
    sample = list(itertools.islice(training(random), n_drawn))
    require(not any(normalised(q) in FORBIDDEN for q, _ in sample), "training() yields a held-out phrasing")
    require(all(text.isascii() for pair in examination + sample for text in pair), "text that is not ASCII")
    if problems:
        sys.exit("\n".join(problems))

    print(f"fixed: {len(FIXED)} topics, {sum(map(len, trained.values()))} training phrasings")
    print(f"calculated: {', '.join(f'{f.key} {len(f.instances)} x {len(f.phrasings)}' for f in CALCULATED)}")
    print(f"unknown: {len(UNKNOWN)} questions, {len(UNKNOWN_EXPANDED)} with the templates; "
          f"{len(UNKNOWN_HELD_OUT)} held out")
    vocabulary = {w for pair in sample for text in pair for w in words(text)}
    n_questions = len({question for question, _ in sample})
    print(f"{n_drawn} drawn pairs: {len(vocabulary)} distinct words, {n_questions} distinct questions")
    canonical = json.dumps(examination, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def main() -> None:
    digest = check()
    path = pathlib.Path(__file__).with_name("held_out.sha256")
    if sys.argv[1:] == ["--write"]:
        path.write_text(digest + "\n")
    print(f"held out: 100 pairs, SHA-256 {digest}")
    if path.read_text().strip() != digest:
        sys.exit(f"{path.name} has another hash: the examination changed")


if __name__ == "__main__":
    main()
