"""The words that columns and event types are known by, the surest first."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


USER = _words("""
    user customer client visitor account member reader reviewer viewer listener player person profile buyer consumer
    subscriber patron learner student household u cookie device session
""")
ITEM = _words("""
    item product prod article sku asin movie film book isbn news story track song music video show episode game app
    recipe podcast restaurant business venue poi hotel listing property offer ad creative job course document doc
    page post pin photo image content object goods aid pid album artist i
""")
TIME = _words("timestamp ts occurred datetime time unixtime moment when at created date dat day")
RECEIVED = _words("received ingested arrived arrival processed inserted logged server")
EVENT = _words("event row log record interaction action")
REQUEST = _words("request impression slate list query search recommendation page_view serve")
POSITION = _words("position pos rank slot place index")
PROPENSITY = _words("propensity propensity_score pscore prob probability p_show action_prob logging_prob")
TYPE = _words("""
    type event_type event event_name action action_type behavior behavior_type behaviour behaviour_type interaction
    interaction_type activity activity_type feedback_type operation verb
""")
VALUE = _words("""
    rating overall score stars star value label click clicked is_click like liked feedback reward target dwell
    dwell_time dwell_s watch_time watch_seconds watch_ratio play_duration duration time_spent play_count plays count
    quantity qty amount price revenue
""")
# A value of few levels is still no judgement if it is one of these.
MEASURE = _words("count plays quantity qty amount price revenue dwell duration time seconds spent")
CONTEXT = _words("""
    device platform os browser country region channel language locale app surface page source referrer placement network
    market store site client
""")
TITLE = _words("title name headline label caption")
CREATED = _words("created creation added release released publish published listed launch launched available since")
# Of people: nothing that a model needs.
PERSONAL = _words("""
    name firstname lastname surname fullname username nickname email mail phone mobile address street ip ssn password
    birthday birthdate dob latitude longitude lat lon lng
""")

# Words that say only that a column is an id, or how it is written.
NEUTRAL = _words("""
    id ids key no nr number code uuid guid hash hashed idx num unique anonymous anonymized parent internal external raw
""")
ID = _words("id uuid guid key")
# Numbers that are not to be reckoned with.
CODE = _words("zip zipcode postal postcode phone code isbn ean upc sku id key")

IMPRESSION_TYPES = _words("""
    impression impressions imp show shown exposure exposed expose view_list viewlist list_view display displayed serve
    served slate
""")
UNWANTED_TYPES = _words("""
    dislike hide skip unlike remove removed remove_from_cart removefromcart return refund report block unfollow cancel
    unsubscribe uninstall not_interested thumbs_down
""")
