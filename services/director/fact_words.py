"""The words that a remembered fact may be made of: what is in none of these lists is not remembered."""

from __future__ import annotations


def _words(*lines: str) -> tuple[str, ...]:
    return tuple(word.strip() for line in lines for word in line.split(","))


PETS = _words(
    "dog, puppy, cat, kitten, parrot, budgie, canary, cockatiel, hamster, guinea pig, rabbit, bunny",
    "turtle, tortoise, ferret, hedgehog, gecko, lizard, iguana, chameleon, snake, snail, horse, pony",
    "donkey, goat, llama, alpaca, sheep, pigeon, rat, mouse, gerbil, chinchilla, axolotl, frog",
    "sheepdog, husky, corgi, poodle, beagle, dachshund, labrador, golden retriever, greyhound, pug",
    "terrier, tarantula, crow",
)
"""Animals that `my …` is enough to claim."""
EATEN = _words(
    "fish, goldfish, chicken, hen, rooster, duck, goose, cow, pig, crab, peacock, quail",
)
"""Animals that are kept too, but `my chicken` may be dinner: these want a name or `I have`."""
MATERIAL = _words(
    "old, little, small, tiny, big, huge, fat, shy, lazy, young, new, black, white, grey, gray",
    "brown, orange, red, blue, green, yellow, ginger, spotted, striped, fluffy, three-legged",
    "one-eyed, rescue, baby, pet, grumpy, loud, funny, clumsy, wooden, electric",
)
"""Harmless words before a noun."""
INSTRUMENTS = _words(
    "piano, keyboard, guitar, electric guitar, bass, bass guitar, violin, viola, cello, double bass",
    "harp, flute, clarinet, oboe, bassoon, saxophone, trumpet, trombone, tuba, horn, drums",
    "accordion, ukulele, banjo, mandolin, harmonica, recorder, organ, bagpipes, kalimba, theremin",
    "marimba, xylophone, koto, sitar",
)
SPORTS = _words(
    "chess, football, soccer, basketball, volleyball, handball, tennis, table tennis, badminton",
    "squash, hockey, ice hockey, field hockey, rugby, cricket, baseball, softball, golf, mini golf",
    "darts, billiards, bingo, water polo, ultimate frisbee, lacrosse",
)
"""What one plays."""
SKILLS = _words(
    "chess, ice skating, figure skating, skiing, snowboarding, surfing, swimming, juggling, knitting",
    "crochet, sewing, pottery, origami, calligraphy, coding, programming, python, archery, fencing",
    "judo, karate, boxing, ballet, tango, salsa, tap dance, climbing, sailing, photography",
    "card tricks, magic tricks, sign language, morse code, esperanto",
)
TO_LEARN = _words(
    "swim, juggle, cook, bake, knit, crochet, drive, dance, sew, ski, skate, surf, draw, paint, sing",
    "sail, code, ride a bike, ride a unicycle, ride a horse, ride a motorbike, skateboard, snowboard",
    "whistle, fly, read music, do a handstand, play chess",
)
LANGUAGES = _words(
    "english, french, german, italian, spanish, portuguese, catalan, dutch, danish, swedish",
    "norwegian, finnish, icelandic, polish, czech, hungarian, romanian, bulgarian, greek, turkish",
    "russian, ukrainian, japanese, korean, mandarin, chinese, cantonese, vietnamese, thai, hindi",
    "arabic, hebrew, persian, swahili, latin, welsh, irish",
)
SUBJECTS = _words(
    "chemistry, biology, physics, mathematics, maths, math, law, medicine, nursing, architecture",
    "history, art history, art, music, literature, linguistics, philosophy, psychology, economics",
    "engineering, computer science, astronomy, geology, geography, archaeology, marine biology",
    "design, graphic design, fashion design, photography, journalism, education, statistics, botany",
    "film, veterinary medicine, translation, accounting, business, mechanical engineering",
    "electrical engineering, civil engineering",
)
JOBS = _words(
    "nurse, night nurse, baker, teacher, music teacher, kindergarten teacher, librarian, dentist",
    "vet, midwife, paramedic, firefighter, carpenter, plumber, electrician, welder, mechanic, tailor",
    "hairdresser, barber, gardener, florist, farmer, beekeeper, fisherman, sailor, pilot, bus driver",
    "truck driver, taxi driver, tram driver, train driver, lorry driver, postman, mail carrier",
    "courier, waiter, waitress, barista, chef, cook, line cook, butcher, pastry chef, bartender",
    "cashier, receptionist, accountant, lawyer, architect, engineer, software engineer",
    "sound engineer, programmer, developer, game developer, game designer, graphic designer",
    "translator, interpreter, journalist, photographer, illustrator, animator, musician",
    "music producer, opera singer, figure skater, tattoo artist, potter, glassblower, blacksmith",
    "jeweller, biologist, chemist, physicist, geologist, astronomer, archaeologist, lab technician",
    "scientist, security guard, night guard, lifeguard, cleaner, janitor, housekeeper, caretaker",
    "zookeeper, park ranger, crane operator, roofer, bricklayer, house painter, surveyor, tour guide",
    "flight attendant, social worker, nursing student, law student, medical student, art student",
    "student, museum guard, piano tuner, puppeteer, stage manager, bookbinder, watchmaker, shoemaker",
    "locksmith, optician, pharmacist, physiotherapist, sailing instructor, swimming teacher",
    "yoga teacher, dance teacher, magician, clown, mime, beautician",
)
PLACES = _words(
    "bakery, hospital, library, zoo, museum, school, kindergarten, supermarket, cafe, café",
    "coffee shop, restaurant, kitchen, hotel, hostel, call center, call centre, warehouse, factory",
    "bookshop, bookstore, flower shop, pet shop, toy shop, record shop, ramen shop, shop, cinema",
    "theatre, theater, aquarium, farm, garage, garden center, garden centre, post office, bank",
    "pharmacy, lab, hospital kitchen, ferry, bar, pub, pizzeria, gas station, petrol station",
    "nursery, shelter, animal shelter, cheese shop, chocolate factory, night shelter, printing house",
    "shipyard, harbour, harbor, airport, train station, ski resort, planetarium",
)
VEHICLES = _words(
    "taxi, bus, night bus, school bus, truck, lorry, tram, train, forklift, tractor, snowplough",
)
ACTIVITIES = {
    "knit": "knits",
    "crochet": "crochets",
    "surf": "surfs",
    "juggle": "juggles",
    "bake": "bakes",
    "draw": "draws",
    "draw comics": "draws comics",
    "paint": "paints",
    "sew": "sews",
    "garden": "gardens",
    "sing in a choir": "sings in a choir",
    "play in a band": "plays in a band",
    "play in an orchestra": "plays in an orchestra",
    "bake bread": "bakes bread",
    "bake cakes": "bakes cakes",
    "write songs": "writes songs",
    "write poems": "writes poems",
    "write poetry": "writes poetry",
    "fix old radios": "fixes old radios",
    "repair bikes": "repairs bikes",
    "repair bicycles": "repairs bicycles",
    "restore furniture": "restores furniture",
    "restore old maps": "restores old maps",
    "make jewelry": "makes jewelry",
    "make jewellery": "makes jewellery",
    "make pottery": "makes pottery",
    "build model ships": "builds model ships",
    "build model trains": "builds model trains",
    "do pottery": "does pottery",
    "do ballet": "does ballet",
    "do judo": "does judo",
    "do karate": "does karate",
    "teach yoga": "teaches yoga",
    "teach music": "teaches music",
    "teach maths": "teaches maths",
    "teach piano": "teaches the piano",
    "fold origami": "folds origami",
    "cycle to work": "cycles to work",
    "ski": "skis",
    "skate": "skates",
    "skateboard": "skateboards",
    "dance ballet": "dances ballet",
    "dance tango": "dances tango",
    "stream": "streams",
}
"""A habit as somebody says it of themself, and as it is said of them."""
KEPT = _words(
    "bees, chickens, hens, ducks, geese, goats, sheep, rabbits, pigeons, snails, quails, horses",
)
GROWN = _words(
    "tomatoes, pumpkins, giant pumpkins, chilies, chillies, peppers, potatoes, roses, orchids, herbs",
    "strawberries, sunflowers, vegetables, flowers, tulips, dahlias, cacti, bonsai, lavender, grapes",
    "lemons",
)
BUILT = _words(
    "boat, wooden boat, bookshelf, guitar, treehouse, tree house, shed, robot, computer, pc",
    "model ship, cabin, model train, model railway, kite, greenhouse, birdhouse, dollhouse",
    "telescope, keyboard, table, chair, canoe, lego castle, chicken coop, van, bike, bicycle",
    "garden wall",
)
WRITTEN = _words(
    "novel, book, comic, children's book, fantasy novel, cookbook, musical, thesis, screenplay",
    "webcomic, opera",
)
SAVED_FOR = _words(
    "guitar, electric guitar, bike, motorbike, car, camera, laptop, computer, pc, house, piano",
    "trip to japan, trip to norway, trip to iceland, trip, telescope, violin, drum kit, van, boat",
    "new phone, new bike",
)
TRAINING_FOR = _words(
    "marathon, half marathon, triathlon, race, tournament, competition, swimming race",
)
FEARS = _words(
    "spiders, heights, thunder, thunderstorms, lightning, the dark, dogs, birds, clowns, flying",
    "snakes, needles, bees, wasps, moths, deep water, the sea, the ocean, elevators, escalators",
    "lifts, ghosts, mice, rats, balloons, butterflies, geese, pigeons, horses, sharks, mirrors",
    "dolls, frogs, public speaking",
)
HOMES = _words(
    "on a farm, on a small farm, on a boat, on an island, on a small island, by the sea",
    "near the sea, by a lake, near a forest, near the woods, in the countryside, in the mountains",
    "in a village, in a small village, in a tiny village, in a small town, in a tiny town",
    "in a big city, in a lighthouse, in a van, in the desert, above a bakery, above a pub",
    "next to a bakery, next to a church",
)
"""Where somebody lives, as long as it says nothing of which village, and nothing of living alone."""
OWNED = _words(
    "garden, vegetable garden, greenhouse, sauna, piano, motorbike, telescope, food truck, pen pal",
    "penpal, sailing boat, boat, vineyard, record player, typewriter, tractor, cuckoo clock, farm",
    "bookshop, bakery, podcast, band, allotment, balcony garden, accordion, harp, cello, violin",
    "guitar, banjo, drum kit, van",
)
RUN = _words(
    "bakery, cafe, café, bookshop, food truck, hair salon, flower shop, farm, restaurant",
    "coffee shop, shop, bike shop, small shop, record shop, podcast, hostel, pub, dance school",
    "book club, chip van, pet shop",
)
RELATIVES = _words(
    "brother, sister, twin brother, twin sister, cousin, niece, nephew, son, daughter",
)
ALL_BUT_ONE = {
    "puppy": "puppies",
    "bunny": "bunnies",
    "canary": "canaries",
    "pony": "ponies",
    "husky": "huskies",
    "mouse": "mice",
    "goose": "geese",
    "sheep": "sheep",
    "fish": "fish",
    "goldfish": "goldfish",
}
"""Plurals that do not end in a plain s."""
EVENTS = _words(
    "exam, test, driving test, audition, dance audition, concert, recital, job interview, interview",
    "competition, marathon, race, tournament, performance, presentation, gig, chess tournament",
    "match, final exam, school play",
)
LIKED = _words(
    "dinosaurs, crosswords, puzzles, horror games, puzzle games, board games, horror films",
    "horror movies, old movies, musicals, opera, jazz, metal, city pop, techno, punk, folk music",
    "classical music, blues, thunderstorms, rain, snow, autumn, winter, spring, the sea, the rain",
    "astronomy, trains, cats, dogs, otters, owls, foxes, frogs, bees, turtles, penguins, octopuses",
    "whales, sharks, horses, birds, plants, mushrooms, pizza, ramen, sushi, noodles, chocolate",
    "cheese, pancakes, waffles, strawberries, mangoes, olives, pickles, pineapple pizza, tea, coffee",
    "green tea, hot chocolate, baking, cooking, knitting, gardening, hiking, climbing, swimming",
    "skiing, fishing, camping, stargazing, reading, drawing, dancing, spicy food, museums",
    "lighthouses, maps, history, poetry, karaoke, anime, manga, fantasy novels, crime novels",
    "ghost stories",
)
HATED = _words(
    "mornings, mondays, my alarm clock, alarm clocks, mushrooms, olives, coriander, cilantro",
    "pineapple pizza, early lectures, flat tires, tutorials, winter, summer, the cold, the heat",
    "raisins, phone calls, licorice, liquorice, broccoli, beetroot, ironing, doing laundry",
    "escape rooms, water levels",
)
COLOURS = _words(
    "red, blue, green, yellow, orange, purple, violet, pink, black, white, grey, gray, brown",
    "turquoise, teal",
)
WEEKDAYS = _words(
    "monday, tuesday, wednesday, thursday, friday, saturday, sunday",
)
NUMBERS = _words(
    "two, three, four, five, six, seven, eight, nine, ten, eleven, twelve",
)
NOT_A_NAME = frozenset(
    _words(
        "the, a, an, and, or, but, so, not, no, by, to, in, on, at, of, for, with, from, after, my, your",
        "his, her, their, our, its, he, she, it, they, we, you, i, me, him, them, that, this, what, who",
        "which, when, where, because, bc, is, are, was, were, be, been, has, have, had, does, did, will",
        "would, can, could, should, nothing, something, anything, someone, nobody, idk, lol, lmao, haha",
        "god, jesus, allah, hitler, satan, osama, epstein, putin, trump, stalin, akane, admin",
        "administrator, mod, moderator, system, assistant, user, prompt, developer, bot, model",
        "instruction, instructions, human, ignore, forget, obey, root, null, undefined, sudo, jailbreak",
        "dan, im, ive, id, just, very, really, too, also, now, then, here, there, all, always, never",
        "still, already, probably, maybe, asshole, daddy, master",
    )
)
"""Words that follow `called` without being an animal's name, or that must not stand in instructions."""
NOT_COLLECTED = frozenset(
    _words(
        "souls, tears, taxes, debts, skulls, bones, bodies, corpses, passwords, exes, nudes, feet, nazis",
        "guns, knives, bombs, drugs, pills, girls, boys, women, men, kids, children, people, tokens",
        "prompts, yours, your, their, his, this, these, those, the, us, moments, memories, dust, ls",
        "losses, as, is, was, jews, slaves, heads, teeth, users, viewers, enemies, virus, viruses, adult",
        "sex, porn, bras, panties, flags, bruises, scars, diseases, disappointments, regrets, mistakes",
        "feelings, thoughts",
    )
)
"""Words that a collection, the one free list, must not be made of."""

NOT_SO = _words(
    "if, would, wish, wished, imagine, imagined, pretend, pretending, maybe, might, probably, almost",
    "nearly, dream, dreamt, dreamed, dreams, used to, ago, back when, as a kid, as a child, repeat",
    "translate, translation, sentence, say, says, said, saying, lyrics, quote, riddle, rhyme",
    "character, roleplay, oc, costume, cosplay, plush, plushie, toys, stuffed, imaginary, minecraft",
    "sims, stardew, simulator, farmville, pokemon, level, quest, dnd, kidding, jk, joke, joking, lie",
    "lied, lies, lying, fake, spell, prank, guess, twenty questions, guessing, trick, died, dead",
    "dies, dying, passed away, funeral, buried, grave, ashes, heaven, lost, missing, escaped, gone",
    "flew, ran away, gave, give, giving, sold, quit, stopped, no longer, anymore, any more, never",
    "don't, dont, not, isn't, isnt, wasn't, wasnt, haven't, havent, didn't, didnt, no one, nobody",
    "cancer, surgery, sick, ill, therapy, depressed, address, phone, email, password, prompt, system",
    "instruction, instructions, ignore, years old, year old",
)
"""Not so, not now, not for real, somebody else's words, or none of our business."""
