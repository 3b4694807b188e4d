"""The PostgreSQL fixture itself: whether there is a server behind the URL."""

import sqlalchemy


def test_the_server_answers(postgres_url: str) -> None:
    engine = sqlalchemy.create_engine(postgres_url)
    try:
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT 1")).scalar_one() == 1
            assert connection.execute(sqlalchemy.text("SHOW fsync")).scalar_one() == "off"
    finally:
        engine.dispose()
