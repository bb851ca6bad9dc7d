"""The class names of FSD50K and of the collection in its layout, in the order of vocabulary.csv."""

from __future__ import annotations

_OFFICIAL = """
Accelerating_and_revving_and_vroom Accordion Acoustic_guitar Aircraft Alarm Animal Applause Bark
Bass_drum Bass_guitar Bathtub_(filling_or_washing) Bell Bicycle Bicycle_bell Bird
Bird_vocalization_and_bird_call_and_bird_song Boat_and_Water_vehicle Boiling Boom
Bowed_string_instrument Brass_instrument Breathing Burping_and_eructation Bus Buzz Camera Car
Car_passing_by Cat Chatter Cheering Chewing_and_mastication Chicken_and_rooster
Child_speech_and_kid_speaking Chime Chink_and_clink Chirp_and_tweet Chuckle_and_chortle
Church_bell Clapping Clock Coin_(dropping) Computer_keyboard Conversation Cough Cowbell Crack
Crackle Crash_cymbal Cricket Crow Crowd Crumpling_and_crinkling Crushing Crying_and_sobbing
Cupboard_open_or_close Cutlery_and_silverware Cymbal Dishes_and_pots_and_pans Dog
Domestic_animals_and_pets Domestic_sounds_and_home_sounds Door Doorbell Drawer_open_or_close Drill
Drip Drum Drum_kit Electric_guitar Engine Engine_starting Explosion Fart Female_singing
Female_speech_and_woman_speaking Fill_(with_liquid) Finger_snapping Fire Fireworks
Fixed-wing_aircraft_and_airplane Fowl Frog Frying_(food) Gasp Giggle Glass Glockenspiel Gong
Growling Guitar Gull_and_seagull Gunshot_and_gunfire Gurgling Hammer Hands Harmonica Harp Hi-hat
Hiss Human_group_actions Human_voice Idling Insect Keyboard_(musical) Keys_jangling Knock Laughter
Liquid Livestock_and_farm_animals_and_working_animals Male_singing Male_speech_and_man_speaking
Mallet_percussion Marimba_and_xylophone Mechanical_fan Mechanisms Meow Microwave_oven
Motor_vehicle_(road) Motorcycle Music Musical_instrument Ocean Organ Packing_tape_and_duct_tape
Percussion Piano Plucked_string_instrument Pour Power_tool Printer Purr Race_car_and_auto_racing
Rail_transport Rain Raindrop Ratchet_and_pawl Rattle Rattle_(instrument) Respiratory_sounds
Ringtone Run Sawing Scissors Scratching_(performance_technique) Screaming Screech Shatter Shout
Sigh Singing Sink_(filling_or_washing) Siren Skateboard Slam Sliding_door Snare_drum Sneeze Speech
Speech_synthesizer Splash_and_splatter Squeak Stream Strum Subway_and_metro_and_underground Tabla
Tambourine Tap Tearing Telephone Thump_and_thud Thunder Thunderstorm Tick Tick-tock Toilet_flush
Tools Traffic_noise_and_roadway_noise Train Trickle_and_dribble Truck Trumpet Typewriter Typing
Vehicle Vehicle_horn_and_car_horn_and_honking Walk_and_footsteps Water Water_tap_and_faucet
Waves_and_surf Whispering Whoosh_and_swoosh_and_swish Wild_animals Wind Wind_chime
Wind_instrument_and_woodwind_instrument Wood Writing Yell Zipper_(clothing)
"""
_STYLE = """
Alarm Animal Bell Brass_instrument Camera Car Chewing_and_mastication Coin_(dropping) Cymbal
Dishes_and_pots_and_pans Domestic_sounds_and_home_sounds Door Drill Drum Female_singing Glass
Guitar Human_group_actions Human_voice Keyboard_(musical) Keys_jangling Male_singing Mechanisms
Motor_vehicle_(road) Music Musical_instrument Packing_tape_and_duct_tape Percussion Piano
Plucked_string_instrument Power_tool Rattle Rattle_(instrument) Singing Slam Tearing Tools Vehicle
Walk_and_footsteps Water Wild_animals Wind_instrument_and_woodwind_instrument Wood
"""

FSD50K_CLASSES = tuple(_OFFICIAL.split())  # 200, alphabetical
STYLE_CLASSES = tuple(_STYLE.split())  # 43 of them
